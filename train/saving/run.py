"""A run's folder: what the run is tied to, beside its checkpoints.

runs/<name>/
    run.json            settings, feature keys, decoder, level cuts, split: what config.json of a model holds
    labels.json         opinion score, split and content group of each video
    lock                who trains here
    checkpoints/        see train/saving/checkpoint.py
    tensorboard/
"""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from config.errors import refusing
from config.schema import Entry, RunSettings
from store.care.difference import changes
from store.durable.commit import remove, write_file
from store.format.fingerprint import fingerprint
from train.answers.levels import Levels
from train.errors import RunError
from train.saving.folder import TEMPORARY, discard, writing
from train.saving.labels import FILE as LABELS
from train.saving.labels import Labelled, load_labels, write_labels

FORMAT = 2
MODEL_TYPE = "lmm-vqa"
RUN = "run.json"
CHECKPOINTS = "checkpoints"
_OWN = (CHECKPOINTS, "tensorboard", RUN, LABELS)
"""All that a run has in its folder, in the order in which it goes."""
_LIBRARIES = ("torch", "transformers", "accelerate", "peft", "numpy", "scipy", "av", "zarr", "scikit-learn")
_SHOWN = 12

# Where things lie and come from: what they hold is compared instead, by the features' keys, the decoder's
# identity and the labels, from which shapes, cuts and split follow.
_FREE: dict[str, Any] = {
    "settings": {
        "datasets": {"__all__": {"videos", "labels", "folds", "video_names", "source"}},
        "encoders": {"__all__": {"weights", "source"}},
        "pipeline": {"decoder": {"weights", "tokenizer", "source", "licence"}, "std_scale": True},
    },
    **dict.fromkeys(("shapes", "levels", "split", "versions"), True),
}


class FeatureTie(Entry):
    """A feature set's key and what is behind it."""

    key: str
    specification: dict[str, Any]


class Part(Entry):
    """How many videos a split has, and the hash of their ids (store.format.fingerprint.subset_hash)."""

    videos: int
    subset: str


class Start(Entry):
    """The model that a run began with, wherever it lay."""

    pipeline: str
    datasets: tuple[str, ...]
    """All that its weights have seen, those of what it started from with them."""
    weights: str
    """Their digest."""


class Run(Entry):
    """All that is needed to rebuild a model and to know what it may be used with."""

    model_type: Literal["lmm-vqa"] = "lmm-vqa"
    format: Literal[2] = 2
    settings: RunSettings
    features: dict[str, FeatureTie]
    """By encoder."""
    shapes: dict[str, tuple[int, int]]
    """Branch → (tokens, features) of a chunk."""
    levels: dict[str, dict[str, Levels]]
    """Task of words for opinion scores → dataset → its cuts, by the training videos."""
    split: dict[str, dict[str, Part]]
    """Dataset → train, val, test…"""
    decoder: dict[str, Any] | None
    """The decoder's identity (train.saving.identity); None where there is none."""
    start: Start | None = None
    """None where it began with weights of its own."""
    versions: dict[str, str]

    @property
    def seen(self) -> tuple[str, ...]:
        """The datasets that the weights were trained on, those of what it started from with them."""
        own = (dataset.name for dataset in self.settings.datasets)
        return tuple(dict.fromkeys([*own, *(self.start.datasets if self.start else ())]))

    @property
    def feature_keys(self) -> dict[str, str]:
        """Encoder → feature key."""
        return {encoder: tie.key for encoder, tie in self.features.items()}

    def levels_for(self, task: str, dataset: str | None = None) -> Levels:
        """The cuts of that dataset, or, where it is none of the run's, of the run's first."""
        each = self.levels[task]
        first = next(iter(each.values()))
        return first if dataset is None else each.get(dataset, first)

    def write(self, file: Path) -> None:
        """Write it durably."""
        write_file(file, self.model_dump_json(indent=2).encode())

    @property
    def ties(self) -> dict[str, Any]:
        """What two may not differ in where they are to be one run, as JSON; labels aside."""
        return self.model_dump(mode="json", exclude=_FREE)

    def differences(self, other: "Run") -> list[str]:
        """Between the ties of the two, a line each."""
        return changes(self.ties, other.ties)

    def check_features(self, place: Path, specifications: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise RunError, with the differences, where features of other specifications are brought to it.

        `specifications`: encoder → the specification behind the features' key (feature.json in the store).
        """
        for encoder, given in specifications.items():
            known, key = self.features[encoder], fingerprint(given)
            if key != known.key:
                found = [f"key: {known.key} → {key}", *changes(known.specification, given)]
                raise RunError(
                    f"{place} was trained on other features of {encoder} (trained on → found):"
                    f"{listed(found)}\nextract them with the encoder's settings of the training, or train on"
                    " these"
                )


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that change numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def claim_run(folder: Path, run: Run, labels: Mapping[str, Labelled], restart: bool = False) -> None:
    """Make the folder this run's own, for its owner (`train.saving.folder.owned`); `restart` empties it.

    Whenever it is killed, the folder holds the earlier run, or none. Raises RunError, with the differences,
    where it holds another run.
    """
    with writing(folder):
        _remove_litter(folder)
        if restart:
            for name in _OWN:
                discard(folder / name)
        if (folder / RUN).is_file():
            known = load_run(folder)
            _require_same(folder, known, run, labels)
            scale = {"std_scale": known.settings.pipeline.std_scale}  # it stays calibrated
            pipeline = run.settings.pipeline.model_copy(update=scale)
            settings = run.settings.model_copy(update={"pipeline": pipeline})
            if known.settings == settings:
                return
            run = known.model_copy(update={"settings": settings})  # files may lie elsewhere now
        elif (folder / CHECKPOINTS).exists():
            raise RunError(
                f"{folder / CHECKPOINTS} is there without {RUN}, which would say of what run: pass --restart"
                " to remove it, or another folder with --run"
            )
        else:
            write_labels(folder, labels)
        run.write(folder / RUN)


def load_run(folder: Path) -> Run:
    """What a run is tied to. Raises RunError that says what is absent or broken."""
    if not (folder / RUN).is_file():
        raise RunError(
            f"{folder} is not a run: it has no {RUN}. `make train` makes runs;"
            " `make demo` makes one without any data or weights"
        )
    return read_run(folder / RUN)


def read_run(file: Path) -> Run:
    """Read a run.json, or a model's config.json.

    Raises RunError where it is absent, damaged, of something else, or of another format.
    """
    with refusing(RunError, f"{file} cannot be read as a model's description"):
        document = json.loads(file.read_text("utf-8"))
        kind, found = document.get("model_type", MODEL_TYPE), document.get("format", 0)
        if kind != MODEL_TYPE:
            raise RunError(f"{file} describes a model of type {kind!r}, not {MODEL_TYPE!r}")
        if found != FORMAT:
            advice = (
                "update this program" if found > FORMAT else "an earlier one made it: train with --restart"
            )
            raise RunError(f"{file} has format {found}; this program knows format {FORMAT}: {advice}")
        return Run.model_validate(document)


def listed(lines: list[str]) -> str:
    """The lines below each other, indented, the first few of many."""
    return "".join(f"\n  {line}" for line in [*lines[:_SHOWN], *(["…"] if len(lines) > _SHOWN else [])])


def _remove_litter(folder: Path) -> None:
    """What an earlier owner was killed while writing or removing."""
    for name in _OWN:
        for litter in (folder / f"{TEMPORARY}{name}", *folder.glob(f".{name}.tmp-*")):
            remove(litter)
    for litter in (folder / CHECKPOINTS).glob("*tmp-*"):
        remove(litter)


def _require_same(folder: Path, known: Run, run: Run, labels: Mapping[str, Labelled]) -> None:
    found, recorded = known.differences(run), load_labels(folder)
    for name, now in labels.items():
        found += [f"labels of {name}: {line}" for line in now.differences(recorded.get(name))]
    if found:
        raise RunError(
            f"{folder} holds another run than is asked for (its own → asked for):{listed(found)}"
            "\npass --restart to replace that run, or another folder with --run"
        )
