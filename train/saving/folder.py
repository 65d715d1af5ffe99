"""A run's folder on disk: who owns it, what the disk refuses, and what leaves it for good."""

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from store.durable.commit import remove
from train.errors import RunError

log = logging.getLogger(__name__)

_LOCK = "lock"
TEMPORARY = "tmp-"
"""Before the names of what is being written or removed."""


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Within the block, of all processes this one alone trains in the folder, which is made.

    The operating system lets go of the lock when its owner dies. Raises RunError that names the owner.
    """
    if folder.resolve() == Path.cwd() or folder.is_file():
        what = "a file" if folder.is_file() else "the working folder"
        raise RunError(f"{folder} is {what}: name a folder of the run's own with --run, such as runs/mine")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / _LOCK).open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunError(
                f"{folder}: {file.read() or 'another process'} trains there now: wait until it ends, or pass"
                " another folder with --run"
            ) from None
        except OSError as error:
            log.warning("%s: whether another process trains there is not known: %s", folder, error.strerror)
        with writing(folder):
            file.truncate(0)
            file.write(f"process {os.getpid()} of {socket.gethostname()}")
            file.flush()
        yield


def discard(path: Path) -> None:
    """Remove a file or folder: whenever this is killed, it is whole, or litter by its name."""
    if path.exists():
        doomed = path.with_name(f"{TEMPORARY}{path.name}")
        remove(doomed)
        path.rename(doomed)
        remove(doomed)


@contextmanager
def writing(place: Path | str) -> Iterator[None]:
    """Turn what the disk refuses within the block into a RunError."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        # What torch.save raises on the way out hides the disk's own error.
        cause = error.__context__ if isinstance(error, RuntimeError) else error
        if not isinstance(cause, OSError | SafetensorError):
            raise
        raise RunError(
            f"{getattr(cause, 'filename', None) or place} cannot be written:"
            f" {getattr(cause, 'strerror', None) or cause}; what was saved before is whole: free space or"
            " permit it, and run the same command, which continues"
        ) from error
