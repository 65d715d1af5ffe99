"""A run's folder: resolved settings, provenance, split and level cuts, beside its checkpoints.

runs/<name>/
    settings.json       everything that pipelines.toml and --set said, resolved
    run.json            feature keys, level cuts and split of each dataset, versions
    checkpoints/        see train/checkpoint.py
    tensorboard/
"""

import json
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from config.schema import RunSettings
from store.commit import write_file
from train.errors import RunError
from train.levels import LevelCuts

_LIBRARIES = ("torch", "transformers", "accelerate", "peft", "numpy", "scipy", "av", "zarr", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """What a run is tied to, beyond its settings."""

    feature_keys: dict[str, str]
    """Encoder → feature key."""
    shapes: dict[str, tuple[int, int]]
    """Branch → (tokens, features) of a chunk."""
    cuts: dict[str, LevelCuts]
    """Dataset → level cuts of its training videos."""
    split: dict[str, dict[str, list[str]]]
    """Dataset → train, val, test… → video ids."""
    versions: dict[str, str]

    def cuts_for(self, dataset: str | None = None) -> LevelCuts:
        """The level cuts of that dataset, or, where it is none of the run's, of the run's first."""
        first = next(iter(self.cuts.values()))
        return first if dataset is None else self.cuts.get(dataset, first)


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that change numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def save_run(folder: Path, settings: RunSettings, run: Run) -> None:
    """Write a run's settings and ties durably, before training begins."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "settings.json", settings.model_dump_json(indent=2).encode())
    write_file(folder / "run.json", json.dumps(asdict(run), indent=2).encode())


def clear_run(folder: Path) -> None:
    """Remove a run's own files from its folder, and nothing else that may be there."""
    for name in ("run.json", "settings.json"):
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
            cuts={name: LevelCuts(**cuts) for name, cuts in raw["cuts"].items()},
            split=raw["split"],
            versions=raw["versions"],
        )
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder} cannot be read as a run: {error}") from error
    return settings, run
