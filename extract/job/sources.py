"""Which videos there are: in folders, text lists, tars, at URLs; their ids come from their names alone."""

import logging
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from config.errors import Problem
from extract.errors import NoVideos
from extract.location import Location, RemoteVideo, file_system, is_http, modified_of
from store.ids import storable_id
from store.labels.folder import find_videos
from store.labels.resolve import EXTENSIONS

logger = logging.getLogger(__name__)

_LISTS = (".txt", ".lst", ".list")
_TAR = ".tar"
_BLOCK_BYTES = 256 << 10


class InvalidSource(Problem):
    """A place of videos that cannot be read, or two places that have a video of one name."""


def videos_at(places: Sequence[str]) -> dict[str, Location]:
    """Id → video of everything at the places.

    A place is a folder (searched with its subfolders, and the tars therein), a video, a `.tar`, a text list
    (`.txt`: one place a line; paths are relative to the list's folder, `#` begins a comment), or the URL of
    one of these; only object storage has folders. Ids: the path below the folder, `tar/member`, the path as
    it is in a list, or the URL without its scheme; always with the extension, so that no two collide. Raises
    NoVideos, InvalidSource.
    """
    videos: dict[str, Location] = {}
    for place in places:
        if not _is_url(place) and not Path(place).exists():
            raise NoVideos(f"--videos {place}: there is no such file or folder")
        for name, location in _videos_at(place, PurePosixPath(Path(place).name)):
            video = storable_id(name)
            if videos.setdefault(video, location) != location:
                raise InvalidSource(
                    f"--videos: two videos have the name {video}: {videos[video]} and {location}; give the"
                    " folder that holds both, or extract them --into different names"
                )
    if not videos:
        known = ", ".join(sorted(EXTENSIONS))
        raise NoVideos(f"--videos {', '.join(places)}: no video is there; known by content, or by {known}")
    return videos


def _videos_at(place: str, name: PurePosixPath) -> Iterator[tuple[str, Location]]:
    """`name`: of the place, if it is a path."""
    suffix = PurePosixPath(urlsplit(place).path if is_http(place) else place).suffix.lower()
    if _is_url(place):
        yield from _videos_at_url(place, suffix)
    elif Path(place).is_dir():
        yield from _videos_in(Path(place))
    elif suffix == _TAR:
        yield from _members(place, str(name))
    elif suffix in _LISTS:
        try:
            text = Path(place).read_text("utf-8-sig", errors="surrogateescape")
        except OSError as error:
            raise InvalidSource(f"--videos {place}: cannot be read as a list: {error.strerror}") from None
        yield from _videos_of_list(text, Path(place).parent)
    else:
        yield str(name), Path(place)


def _videos_in(folder: Path) -> Iterator[tuple[str, Location]]:
    for video in find_videos(folder):
        yield video.relative_to(folder).as_posix(), video
    for tar in sorted(folder.rglob(f"[!.]*{_TAR}")):
        yield from _members(str(tar), tar.relative_to(folder).as_posix())


def _videos_of_list(text: str, folder: Path | None) -> Iterator[tuple[str, Location]]:
    """`folder`: of the list; None if it is at a URL, where paths lead nowhere."""
    for line in text.splitlines():
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if _is_url(entry):
            yield from _videos_at(entry, PurePosixPath())
        elif folder is not None:
            yield from _videos_at(str(folder / entry), _name_in_list(entry))
        else:
            raise InvalidSource(f"--videos: a list at a URL may hold URLs only, found {entry!r}")


def _name_in_list(entry: str) -> PurePosixPath:
    return PurePosixPath(*(part for part in PurePosixPath(entry).parts if part not in ("/", "..")))


def _videos_at_url(url: str, suffix: str) -> Iterator[tuple[str, Location]]:
    try:
        files, path = file_system(url)
        if suffix == _TAR:
            yield from _members(url, _name_of(url))
        elif suffix in _LISTS:
            yield from _videos_of_list(files.cat_file(path).decode("utf-8"), None)
        elif is_http(url) or suffix in EXTENSIONS:
            yield _name_of(url), RemoteVideo(url)
        else:
            for found, info in sorted(files.find(path, detail=True).items()):
                name = PurePosixPath(found[len(path) :].lstrip("/"))
                inner = files.unstrip_protocol(found)
                if name.suffix.lower() == _TAR:
                    yield from _members(inner, str(name))
                elif name.suffix.lower() in EXTENSIONS and info.get("size"):
                    yield str(name), RemoteVideo(inner, size_bytes=info["size"], modified=modified_of(info))
    except Problem:
        raise
    except Exception as error:
        raise InvalidSource(f"--videos {url}: cannot be read: {type(error).__name__}: {error}") from error


def _members(tar: str, name: str) -> Iterator[tuple[str, Location]]:
    """The videos of a tar, of which only the headers are read. What follows a damage is passed over."""
    try:
        files, path = file_system(tar)
        with (
            files.open(path, "rb", block_size=_BLOCK_BYTES) as file,
            tarfile.open(fileobj=file, mode="r:") as members,
        ):
            for member in members:
                if member.isreg() and PurePosixPath(member.name).suffix.lower() in EXTENSIONS:
                    video = RemoteVideo(tar, member.name, member.offset_data, member.size, f"{member.mtime}")
                    yield f"{name}/{member.name.removeprefix('./')}", video
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        logger.warning("%s: cannot be read to its end as an uncompressed tar: %s", tar, error)


def _name_of(url: str) -> str:
    """Host and path of a URL, without user, password and, where the path names a video, the query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    named = PurePosixPath(parts.path).suffix.lower() in (*EXTENSIONS, _TAR)
    query = f"?{parts.query}" if parts.query and not named else ""
    return f"{host}{parts.path}{query}"


def _is_url(place: str) -> bool:
    return "://" in place
