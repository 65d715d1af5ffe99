"""What a run starts from: another run, a published model's folder, or an unpacked checkpoint of VQA²'s."""

import hashlib
import json
from pathlib import Path

from config.schema import PipelineSettings
from train.errors import RunError
from train.saving.checkpoint import CONFIG, checkpoint_of
from train.saving.decoder import DECODER, with_decoder_in
from train.saving.digests import read_digests
from train.saving.identity import check_decoder, decoder_identity, weights_digest
from train.saving.run import FeatureTie, Start, read_run
from train.saving.vqa2 import ORIGIN


def weights_of(place: Path) -> Path:
    """The folder of a start's weights: a run's selected checkpoint, a model's, or an unpacked checkpoint's.

    Raises RunError where it is none of them.
    """
    return place if (place / ORIGIN).is_file() else checkpoint_of(place)


def describe_start(place: Path, pipeline: PipelineSettings, features: dict[str, FeatureTie]) -> Start:
    """What a run on these features that starts from `place` records of it.

    Raises RunError where it is no trained model, or one of another head, decoder or kind of features.
    """
    checkpoint = weights_of(place)
    if (checkpoint / ORIGIN).is_file():
        return _describe_unpacked(checkpoint, pipeline)
    origin = read_run(checkpoint / CONFIG)
    if origin.settings.pipeline.head != pipeline.head:
        raise RunError(
            f"{place} has a {origin.settings.pipeline.head} head, which {pipeline.name} cannot start from:"
            f" its own is a {pipeline.head}"
        )
    if origin.settings.pipeline.members != pipeline.members:
        raise RunError(
            f"{place} has {origin.settings.pipeline.members} members (pipelines.NAME.members), which"
            f" {pipeline.name} with {pipeline.members} cannot start from: expected as many"
        )
    identity = origin.decoder
    if identity is not None and (checkpoint / DECODER).is_dir() and not pipeline.trains("decoder"):
        identity = {**identity, "weights": weights_digest(checkpoint / DECODER)}
    check_decoder(checkpoint, pipeline, identity)
    theirs = origin.settings.pipeline
    for name in (name for name in pipeline.branches if name in theirs.branches):
        own, other = pipeline.branches[name], theirs.branches[name]
        keys = features[own.encoder].key, origin.features[other.encoder].key
        if (own.encoder != other.encoder and keys[0] != keys[1]) or own.stream != other.stream:
            raise RunError(
                f"{place} has a branch {name} of other features ({other.encoder}.{other.stream}) than"
                f" {pipeline.name} ({own.encoder}.{own.stream}), for which its projector means nothing: give"
                " the branch another name, or the same features"
            )
    parts = [(*each.tasks, *each.branches) for each in (theirs, pipeline)]
    if pipeline.head == "regression" and parts[0] != parts[1]:
        raise RunError(
            f"{place} has a regression head for {', '.join(parts[0])}, which {pipeline.name} cannot take for"
            f" {', '.join(parts[1])}: expected the same tasks and branches in the same order"
        )
    shared = sorted(origin.features.keys() & features.keys())
    origin.check_features(checkpoint, {encoder: features[encoder].specification for encoder in shared})
    return Start(
        pipeline=origin.settings.pipeline.name, datasets=origin.seen, weights=_weights_digest(checkpoint)
    )


def _describe_unpacked(folder: Path, pipeline: PipelineSettings) -> Start:
    """Of a checkpoint of VQA²'s that was taken apart; what it was trained on is not in it."""
    if pipeline.head != "decoder" or pipeline.members != 1:
        raise RunError(f"{folder} is of one member with a language model, which {pipeline.name} is not")
    own = with_decoder_in(folder, pipeline).decoder
    if not pipeline.trains("decoder"):
        check_decoder(folder, pipeline, decoder_identity(own))
    name = json.loads((folder / ORIGIN).read_text("utf-8"))["name"]
    return Start(pipeline=name, datasets=(), weights=_weights_digest(folder))


def _weights_digest(folder: Path) -> str:
    digests = "".join(f"{name} {digest}\n" for name, digest in sorted(read_digests(folder).items()))
    return f"sha256:{hashlib.sha256(digests.encode()).hexdigest()}"
