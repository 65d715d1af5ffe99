"""config.json of a trained model: all that is needed to rebuild it and to know what it may be used with."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.schema import PipelineSettings, RunSettings
from store.care.difference import changes
from store.durable.commit import write_file
from store.format.fingerprint import canonical_json, fingerprint, subset_hash
from train.answers.levels import levels_of
from train.errors import RunError
from train.saving.identity import decoder_identity
from train.saving.run import Run

FILE = "config.json"
MODEL_TYPE = "lmm-vqa"
FORMAT = 1


def write_description(folder: Path, settings: RunSettings, run: Run) -> None:
    """Write config.json durably."""
    document = {
        "model_type": MODEL_TYPE,
        "format": FORMAT,
        "architectures": ["RegressionModel" if settings.pipeline.head == "regression" else "QualityModel"],
        "settings": settings.model_dump(mode="json"),
        "features": {
            encoder: {"key": key, **_specified(run.specifications.get(encoder))}
            for encoder, key in run.feature_keys.items()
        },
        "shapes": {branch: list(shape) for branch, shape in run.shapes.items()},
        "levels": {
            task: {name: asdict(levels) for name, levels in each.items()} for task, each in run.levels.items()
        },
        "decoder": run.decoder,
        "start": run.start,
        "split": {
            dataset: {part: {"videos": len(ids), "subset": subset_hash(ids)} for part, ids in split.items()}
            for dataset, split in run.split.items()
        },
        "versions": run.versions,
    }
    write_file(folder / FILE, (json.dumps(document, indent=2) + "\n").encode())


def read_description(folder: Path) -> tuple[RunSettings, Run]:
    """Settings and ties of a model; of the split only the names are known, so that it is empty here.

    Raises RunError where the file is absent, damaged, of something else, or of a later format.
    """
    file = folder / FILE
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document.get("model_type") != MODEL_TYPE:
            raise RunError(
                f"{file} describes a model of type {document.get('model_type')!r}, not {MODEL_TYPE!r}"
            )
        if document["format"] > FORMAT:
            raise RunError(
                f"{file} has format {document['format']}; this program knows formats up to {FORMAT}:"
                " update this program"
            )
        features = document["features"]
        run = Run(
            feature_keys={encoder: entry["key"] for encoder, entry in features.items()},
            shapes={branch: (shape[0], shape[1]) for branch, shape in document["shapes"].items()},
            levels=levels_of(document["levels"]),
            split={},
            versions=document["versions"],
            specifications={
                encoder: entry["specification"]
                for encoder, entry in features.items()
                if "specification" in entry
            },
            decoder=document["decoder"],
            start=document.get("start"),
        )
        return RunSettings.model_validate(document["settings"]), run
    except (OSError, ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{file} cannot be read as a model's description: {error!r}") from error


def check_decoder(place: Path, pipeline: PipelineSettings, run: Run) -> None:
    """Raise RunError, with the differences, where the decoder or its tokenizer is not the one of training."""
    if run.decoder is None:
        return
    found = changes(run.decoder, decoder_identity(pipeline.decoder))
    if found:
        what = "tokenizer" if all(line.startswith("tokenizer:") for line in found) else "decoder"
        raise RunError(
            f"{place} was trained with another {what} than {pipeline.decoder.weights!r} gives now"
            f" (trained with → found):{_listed(found)}"
        )


def check_features(place: Path, run: Run, specifications: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise RunError, with the differences, where features of other specifications are brought to a model.

    `specifications`: encoder → the specification behind the features' key (feature.json in the store).
    """
    for encoder, given in specifications.items():
        key = run.feature_keys[encoder]
        if fingerprint(given) == key:
            continue
        known = run.specifications.get(encoder)
        found = [f"key: {key} → {fingerprint(given)}", *(changes(known, given) if known else [])]
        raise RunError(
            f"{place} was trained on other features of {encoder} (trained on → found):{_listed(found)}"
            "\nextract them with the encoder's settings of the training, or train on these"
        )


def _specified(specification: Mapping[str, Any] | None) -> dict[str, Any]:
    if specification is None:
        return {}
    digest = hashlib.sha256(canonical_json(specification).encode()).hexdigest()
    return {"sha256": digest, "specification": specification}


def _listed(lines: list[str]) -> str:
    return "".join(f"\n  {line}" for line in lines)
