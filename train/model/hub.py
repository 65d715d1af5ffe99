"""Where a model lies: a folder of this machine, or a snapshot of a Hugging Face repository."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download


def model_folder(place: str, revision: str | None, patterns: Sequence[str]) -> Path:
    """The folder that `place` (a path or a hub id) names; of a repository, the files that match `patterns`.

    Raises OSError or ValueError, as the hub's client does, with the reason in its first line.
    """
    folder = Path(place).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or place.startswith("."):
        raise OSError("no such folder")
    return Path(snapshot_download(place, revision=revision, allow_patterns=list(patterns)))


def first_line(error: Exception) -> str:
    """What an error says, without the advice that follows."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
