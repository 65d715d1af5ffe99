"""The weights that a run starts from: those of another run, or of a published model's folder."""

import hashlib
import logging
from pathlib import Path
from typing import Any

from config.schema import PipelineSettings
from train.errors import RunError
from train.model.regression import VideoModel
from train.saving.adapter import has_adapter, load_adapter, read_tensors
from train.saving.checkpoint import ADAPTER, WEIGHTS, checkpoint_of, trained_parts
from train.saving.description import check_decoder, check_features, read_description
from train.saving.run import Run

log = logging.getLogger(__name__)


def describe_start(place: Path, pipeline: PipelineSettings, run: Run) -> dict[str, Any]:
    """What a run that starts from `place` records of it: the model's name, its datasets, its weights' digest.

    Raises RunError where it is no trained model, or one of another head, decoder or kind of features.
    """
    checkpoint = checkpoint_of(place)
    settings, origin = read_description(checkpoint)
    if settings.pipeline.head != pipeline.head:
        raise RunError(
            f"{place} has a {settings.pipeline.head} head, which {pipeline.name} cannot start from:"
            f" its own is a {pipeline.head}"
        )
    check_decoder(checkpoint, pipeline, origin)
    shared = origin.feature_keys.keys() & run.specifications.keys()
    check_features(checkpoint, origin, {encoder: run.specifications[encoder] for encoder in sorted(shared)})
    digest = hashlib.sha256()
    for file in (checkpoint / WEIGHTS, *sorted((checkpoint / ADAPTER).glob("*.safetensors"))):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return {
        "pipeline": settings.pipeline.name,
        "datasets": [dataset.name for dataset in settings.datasets],
        "checkpoint": str(checkpoint),
        "weights": f"sha256:{digest.hexdigest()}",
    }


def load_start(place: Path, model: VideoModel) -> None:
    """Put the weights of what both have into the model; its further parts keep their own, which is logged.

    Raises RunError where nothing is in both, something has another shape, or a LoRA adapter would be lost.
    """
    checkpoint = checkpoint_of(place)
    found, parts = read_tensors(checkpoint / WEIGHTS), trained_parts(model)
    own = parts.state_dict()
    common = found.keys() & own.keys()
    odd = sorted(name for name in common if found[name].shape != own[name].shape)
    if not common:
        raise RunError(
            f"{checkpoint / WEIGHTS}: holds {', '.join(_parts(found))}, none of which this pipeline has"
        )
    for name in odd:
        raise RunError(
            f"{checkpoint / WEIGHTS}: {name} has the shape {list(found[name].shape)}, but this pipeline's"
            f" {list(own[name].shape)}"
        )
    parts.load_state_dict({name: found[name] for name in common}, strict=False)
    for names, what in (
        (own.keys() - common, "begins with its own weights"),
        (found.keys() - common, "is left out"),
    ):
        for part in _parts(names):
            log.warning("starting from %s: %s %s", place, part, what)
    decoder = getattr(model, "decoder", None)
    if not (checkpoint / ADAPTER).is_dir():
        if decoder is not None and has_adapter(decoder):
            log.warning("starting from %s: the LoRA adapter begins with its own weights", place)
        return
    if decoder is None or not has_adapter(decoder):
        raise RunError(
            f"{checkpoint} has a LoRA adapter, which would be lost: give the pipeline's decoder the same"
            " `lora` settings"
        )
    load_adapter(decoder, checkpoint / ADAPTER)


def _parts(names: Any) -> list[str]:
    return sorted({".".join(name.split(".")[:2]) for name in names})
