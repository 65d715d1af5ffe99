"""Where a store is: in a folder or at a URL; and where this machine keeps what goes with the latter."""

import os
import re
import tempfile
from pathlib import Path

from store.errors import RemoteFailed

# pathlib makes one slash of two: a Path of a URL is a URL still.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}([^/].*)")
_FILE_URL = re.compile(r"file:(/{1,3})([^/].*)?")


def is_url(root: str | Path) -> bool:
    """Whether a store's place is a URL such as s3://bucket/features, not a folder."""
    return _URL.fullmatch(str(root)) is not None and not _FILE_URL.fullmatch(str(root))


def parts_of_url(url: str | Path) -> tuple[str, str]:
    """Protocol and path (bucket/features) of a URL. Raises RemoteFailed."""
    match = _URL.fullmatch(str(url))
    if match is None:
        raise RemoteFailed(f"{url}: expected a URL such as s3://bucket/features")
    return match[1], match[2].rstrip("/")


def as_folder(root: str | Path) -> Path:
    """The folder that a path or a URL such as file:///features means. Raises RemoteFailed for file://HOST/…"""
    match = _FILE_URL.fullmatch(str(root))
    if match is None:
        return Path(root)
    if len(match[1]) == 2:
        raise RemoteFailed(f"{root}: expected file:///FOLDER; another host's folder must be mounted here")
    return Path(f"/{match[2] or ''}")


def local_folder(root: str | Path) -> Path:
    """Where files that go with a store are put aside: its folder, or a temporary one for a URL."""
    return scratch() if is_url(root) else as_folder(root)


def scratch() -> Path:
    """A folder for files in the making; their names tell their process, so that dead ones' are removed.

    Raises RemoteFailed where the folder is another user's.
    """
    user = os.getuid()
    folder = Path(tempfile.gettempdir()) / f"lmm-vqa-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != user or folder.is_symlink():
        raise RemoteFailed(f"{folder} belongs to another user: remove it, or set TMPDIR to another folder")
    return folder
