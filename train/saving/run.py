"""A run's folder: resolved settings, provenance, split and level cuts, beside its checkpoints.

runs/<name>/
    settings.json       everything that pipelines.toml and --set said, resolved
    run.json            feature keys, decoder, level cuts, split and digest of the labels of each dataset
    labels.json         opinion score, split and content group of each video
    checkpoints/        see train/saving/checkpoint.py
    tensorboard/
"""

import json
import logging
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from config.schema import RunSettings
from store.care.difference import changes
from store.durable.commit import write_file
from store.labels.dataset import Record, Records, label_changes
from train.answers.levels import Levels, levels_of
from train.errors import RunError

log = logging.getLogger(__name__)

_LIBRARIES = ("torch", "transformers", "accelerate", "peft", "numpy", "scipy", "av", "zarr", "scikit-learn")
_SHOWN = 12


@dataclass(frozen=True)
class Run:
    """What a run is tied to, beyond its settings."""

    feature_keys: dict[str, str]
    """Encoder → feature key."""
    shapes: dict[str, tuple[int, int]]
    """Branch → (tokens, features) of a chunk."""
    levels: dict[str, dict[str, Levels]]
    """Task of words for opinion scores → dataset → its cuts, by the training videos."""
    split: dict[str, dict[str, list[str]]]
    """Dataset → train, val, test… → video ids."""
    versions: dict[str, str]
    specifications: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """Encoder → what is behind its feature key."""
    decoder: dict[str, Any] | None = None
    """The decoder's identity (train.saving.identity); None where there is none."""
    labels: dict[str, str] = field(default_factory=dict)
    """Dataset → digest of the opinion scores, splits and groups of the videos in `split`."""
    start: dict[str, Any] | None = None
    """The model whose weights it started from (train.saving.start); None where it began anew."""

    def levels_for(self, task: str, dataset: str | None = None) -> Levels:
        """The cuts of that dataset, or, where it is none of the run's, of the run's first."""
        each = self.levels[task]
        first = next(iter(each.values()))
        return first if dataset is None else each.get(dataset, first)


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that change numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def save_run(folder: Path, settings: RunSettings, run: Run, labels: Mapping[str, Records]) -> None:
    """Write a run's settings, labels (dataset → records) and ties durably, before training begins."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "settings.json", settings.model_dump_json(indent=2).encode())
    write_file(folder / "labels.json", json.dumps(labels).encode())
    write_file(folder / "run.json", json.dumps(asdict(run), indent=2).encode())


def claim_run(folder: Path, settings: RunSettings, run: Run, labels: Mapping[str, Records]) -> None:
    """Make the folder this run's own. Raises RunError, with the differences, where it holds another.

    The labels of a run of an earlier version are not known: whether they changed is then not checked, with a
    warning.
    """
    if not (folder / "run.json").is_file():
        save_run(folder, settings, run, labels)
        return
    known_settings, known = load_run(folder)
    for what, before, now in (
        ("settings", known_settings.model_dump(mode="json"), settings.model_dump(mode="json")),
        ("feature keys", known.feature_keys, run.feature_keys),
        ("decoder", known.decoder, run.decoder),
        ("start", _identity(known.start), _identity(run.start)),
    ):
        if before == now:
            continue
        found = changes(before, now)
        if what == "feature keys":
            found += changes(known.specifications, run.specifications)
        _refuse(folder, what, found)
    if not known.labels:
        log.warning("%s was begun by an earlier version: whether its labels changed is not known", folder)
    elif known.labels != run.labels:
        recorded = load_labels(folder)
        found = [
            f"{name}: {change}"
            for name, records in labels.items()
            for change in label_changes(recorded.get(name, {}), records)
        ]
        _refuse(folder, "labels", found)
    if known.split != run.split:
        _refuse(folder, "split", _split_changes(known.split, run.split))


def load_labels(folder: Path) -> dict[str, dict[str, Record]]:
    """What the labels said of a run's videos when it was begun: by dataset; empty where not recorded."""
    file = folder / "labels.json"
    if not file.is_file():
        return {}
    try:
        return {
            name: {video: (float(mos), str(part), group) for video, (mos, part, group) in records.items()}
            for name, records in json.loads(file.read_text()).items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{file} cannot be read: {error!r}; train the run anew with --restart") from error


def _split_changes(
    before: Mapping[str, Mapping[str, Sequence[str]]], now: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[str]:
    def records(split: Mapping[str, Sequence[str]]) -> dict[str, Record]:
        return {video: (0.0, part, None) for part, videos in split.items() for video in videos}

    return [
        f"{name}: {change}"
        for name in now
        for change in label_changes(records(before.get(name, {})), records(now[name]))
        or ["the order differs"]
    ]


def _identity(start: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Of what a run started from, wherever it lay."""
    return {name: value for name, value in (start or {}).items() if name != "checkpoint"}


def _refuse(folder: Path, what: str, found: Sequence[str]) -> NoReturn:
    shown = [*found[:_SHOWN], *(["…"] if len(found) > _SHOWN else [])]
    raise RunError(
        f"{folder} holds a run whose {what} differ from what is asked for now (its own → asked for):"
        + "".join(f"\n  {line}" for line in shown)
        + "\npass --restart to replace that run, or another folder with --run"
    )


def clear_run(folder: Path) -> None:
    """Remove a run's own files from its folder, and nothing else that may be there."""
    for name in ("run.json", "settings.json", "labels.json"):
        (folder / name).unlink(missing_ok=True)
    for name in ("checkpoints", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)


def load_run(folder: Path) -> tuple[RunSettings, Run]:
    """Read a run's settings and ties. Raises RunError that says what is absent or broken."""
    for name in ("settings.json", "run.json"):
        if not (folder / name).is_file():
            raise RunError(
                f"{folder} is not a run: it has no {name}. `make train` makes runs;"
                " `make demo` makes one without any data or weights"
            )
    try:
        settings = RunSettings.model_validate_json((folder / "settings.json").read_text())
        raw = json.loads((folder / "run.json").read_text())
        run = Run(
            feature_keys=raw["feature_keys"],
            shapes={branch: (shape[0], shape[1]) for branch, shape in raw["shapes"].items()},
            levels=levels_of(raw["levels"]),
            split=raw["split"],
            versions=raw["versions"],
            specifications=raw["specifications"],
            decoder=raw["decoder"],
            labels=raw.get("labels", {}),
            start=raw.get("start"),
        )
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{folder} cannot be read as a run: {error!r}. A run of an earlier version is trained anew with"
            " --restart"
        ) from error
    return settings, run
