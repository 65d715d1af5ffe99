"""SHA256SUMS: what the files of a folder were when they were written; `sha256sum --check` reads it, too."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from config.errors import refusing
from store.durable.commit import write_file
from train.errors import RunError

SUMS = "SHA256SUMS"


def write_digests(folder: Path, files: Iterable[Path]) -> None:
    """Write SHA256SUMS of these files, which are below the folder."""
    lines = [f"{file_digest(file)}  {file.relative_to(folder).as_posix()}\n" for file in sorted(files)]
    write_file(folder / SUMS, "".join(lines).encode())


def read_digests(folder: Path) -> dict[str, str]:
    """File → SHA-256 as 64 hexadecimal digits. Raises RunError."""
    with refusing(RunError, f"{folder / SUMS} cannot be read"):
        lines = [line.split("  ", 1) for line in (folder / SUMS).read_text("utf-8").splitlines()]
        return {name: digest for digest, name in lines}


def verified(folder: Path, name: str) -> Path:
    """A file of the folder. Raises RunError where it is absent or not what was written."""
    with refusing(RunError, f"{folder / name} cannot be read"):
        found = file_digest(folder / name)
    if read_digests(folder).get(name) != found:
        raise RunError(
            f"{folder / name} cannot be read: it is not what was written, by its SHA-256 in {SUMS}: copy or"
            " download it again"
        )
    return folder / name


def file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
