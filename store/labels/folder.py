"""The videos in a folder: known by extension, or by their first bytes."""

import logging
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from store.labels.errors import VideoFolderError, shown, some
from store.labels.resolve import EXTENSIONS

log = logging.getLogger(__name__)

# What file systems, servers and archivers put beside people's files.
_NOT_SEARCHED = frozenset(
    {"lost+found", "@eadir", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "__macosx"}
)
# Containers that also hold sound alone, or still pictures: their extension says that no video is in them.
_NO_VIDEO = frozenset(
    {".m4a", ".m4b", ".mka", ".oga", ".ogg", ".opus", ".spx", ".weba", ".wma", ".heic", ".avif"}
)
_STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG-1/2 video
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02",  # MXF
    b"FLV\x01",
    b"OggS",
    b"GIF8",
    b"YUV4MPEG2 ",
    b"DKIF",
)
_QUICKTIME_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")
_TRANSPORT_PACKETS = ((0, 188), (4, 192))
"""Offset and length in bytes of a transport stream's packets: broadcast, and with a camera's time stamps."""


def find_videos(folder: Path) -> list[Path]:
    """Every video (and image) in the folder and its subfolders, sorted; linked folders are followed once.

    Known by extension in any case, or else by content. Hidden files and folders, trash and snapshots hold no
    videos (macOS keeps `._clip.mp4` beside `clip.mp4`). Raises VideoFolderError where there is
    no such folder.
    """
    if not folder.is_dir():
        found = "it is a file" if folder.exists() else "it does not exist"
        raise VideoFolderError(f"the folder of videos {shown(folder)} was expected, but {found}")
    files = sorted(_files(folder))
    return [file for file in files if file.suffix.lower() in EXTENSIONS or _is_video(file)]


def require_videos(folder: Path) -> list[Path]:
    """As `find_videos`; raises VideoFolderError, with what is there instead, where no video is."""
    videos = find_videos(folder)
    if not videos:
        files = list(_files(folder))
        found = f"its {len(files)} files are none, such as {some(files, 3)}" if files else "it has no files"
        raise VideoFolderError(f"no video in {shown(folder)} or its subfolders: {found}")
    return videos


def _files(folder: Path) -> Iterator[Path]:
    """Visible files. Links are followed last, so that a folder within keeps its own name."""
    root = folder.resolve()
    waiting, links, seen = deque([folder]), deque[Path](), set[tuple[int, int]]()
    while waiting or links:
        here = waiting.popleft() if waiting else links.popleft()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            # A folder that may be listed but not entered fails here; Path would drop the dot.
            os.stat(f"{here}/.")  # noqa: PTH116
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            log.warning("%s is not searched for videos: %s", shown(here), error.strerror)
            continue
        for entry in entries:
            # os.path, as Path.is_dir and Path.is_file raise where a link leads to a closed folder.
            path = here / entry.name
            if entry.name.startswith(".") or entry.name.lower() in _NOT_SEARCHED:
                continue
            if (is_folder := os.path.isdir(path)) and not entry.is_symlink():  # noqa: PTH112
                waiting.append(path)
            elif is_folder and not root.is_relative_to(path.resolve()):
                links.append(path)
            elif os.path.isfile(path):  # noqa: PTH113
                yield path


def _is_video(file: Path) -> bool:
    if file.suffix.lower() in _NO_VIDEO:
        return False
    try:
        with file.open("rb") as opened:
            head = opened.read(600)
    except OSError:
        return False
    quicktime = head[4:8] in _QUICKTIME_BOXES
    transport = any(
        head[start : start + 3 * length : length] == b"\x47\x47\x47" for start, length in _TRANSPORT_PACKETS
    )
    return quicktime or transport or head.startswith(_STARTS) or head[:4] + head[8:12] == b"RIFFAVI "
