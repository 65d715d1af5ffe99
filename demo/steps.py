"""Steps that several of the demo's commands take: a command as a user runs it, features of a new dataset."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import Problem
from store.features import FeatureStore


class StepFailed(Problem):
    """A command of the demo did not succeed."""


@contextmanager
def forget_features(folder: Path, dataset: str, store: FeatureStore) -> Iterator[None]:
    """Around the making of a generated dataset: where its videos are new, features of earlier ones go."""
    facts = folder / "dataset.json"
    before = facts.stat().st_mtime_ns if facts.is_file() else None
    yield
    if facts.stat().st_mtime_ns != before:
        for features in store.paths(dataset):
            shutil.rmtree(Path(store.root, features))


def run_command(package: str, *arguments: str) -> None:
    """Raises StepFailed."""
    shown = [argument for argument in arguments if "=" not in argument]
    print(f"$ python -m {package} {' '.join(shown)}", flush=True)
    status = status_of(package, *arguments)
    if status != 0:
        raise StepFailed(f"`python -m {package}` ended with status {status}; its message is above")


def status_of(package: str, *arguments: str) -> int:
    """How `python -m package arguments` ends, in a process of its own."""
    return subprocess.run([sys.executable, "-m", package, *arguments], check=False).returncode
