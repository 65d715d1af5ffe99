"""Which videos there are: in folders, text lists, tars, at URLs; their ids come from their names alone."""

import logging
import os
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

Found = Iterator[tuple[str, Location]]
"""Names of videos, which may not be storable ids yet, and where they are."""

LISTS = (".txt", ".lst", ".list")
TAR = ".tar"
_BLOCK_BYTES = 256 << 10


class InvalidSource(Problem):
    """A place of videos that cannot be read, or two places that have a video of one name."""


def videos_at(places: Sequence[str]) -> dict[str, Location]:
    """Id → video of everything at the places.

    A place is a folder (searched with its subfolders, and the tars therein), a video, a `.tar`, a text list
    (`.txt`: one place a line; paths are relative to the list's folder, `#` begins a comment), or the URL of
    one of these; only object storage has folders. Ids: the path below the folder, `tar/member`, the path as
    it is in a list (of a folder's videos, with the path below it), or the URL without its scheme; always with
    the extension, so that no two collide. Raises NoVideos, InvalidSource.
    """
    videos: dict[str, Location] = {}
    for place in places:
        for found, location in _named(place):
            video = storable_id(found)
            if videos.setdefault(video, location) != location:
                raise InvalidSource(
                    f"two videos have the name {video}: {videos[video]} and {location}; give the"
                    " folder that holds both, or extract them --into different names"
                )
    if not videos:
        known = ", ".join(sorted(EXTENSIONS))
        raise NoVideos(f"{', '.join(places)}: no video is there; known by content, or by {known}")
    return videos


def locations_at(place: str) -> list[Location]:
    """Every video at a place (see `videos_at`), whatever it is called. Raises NoVideos, InvalidSource."""
    return [location for _, location in _named(place)]


def _named(place: str) -> Found:
    if not is_url(place) and not os.path.exists(place):  # noqa: PTH110 - see _is_folder
        raise NoVideos(f"{place}: there is no such file or folder")
    return _videos_at(place, "" if is_url(place) or _is_folder(place) else Path(place).name, ())


def _videos_at(place: str, name: str, lists: tuple[str, ...]) -> Found:
    """`name`: of a video or tar; of a folder, what its videos' names begin with. `lists`: that led here."""
    suffix = _suffix(urlsplit(place).path if is_http(place) else place)
    if is_url(place):
        yield from _videos_at_url(place, name, suffix, lists)
    elif _is_folder(place):
        for video in find_videos(Path(place)):
            yield _joined(name, video.relative_to(place).as_posix()), video
        for file in sorted(Path(place).rglob("*")):
            below = file.relative_to(place)
            if _suffix(file.name) == TAR and not any(part.startswith(".") for part in below.parts):
                yield from _members(str(file), _joined(name, below.as_posix()))
    elif suffix == TAR:
        yield from _members(place, name)
    elif suffix in LISTS:
        _refuse_circle(str(Path(place).resolve()), lists)
        try:
            text = Path(place).read_text("utf-8-sig", errors="surrogateescape")
        except OSError as error:
            raise InvalidSource(f"{place}: cannot be read as a list: {error.strerror}") from None
        if "\0" in text:
            raise InvalidSource(f"{place}: expected a list, one place a line; found bytes of no text")
        yield from _videos_of_list(text, Path(place).parent, (*lists, str(Path(place).resolve())))
    else:
        yield name, Path(place)


def _videos_of_list(text: str, folder: Path | None, lists: tuple[str, ...]) -> Found:
    """`folder`: of the list; None if it is at a URL, where paths lead nowhere."""
    for line in text.splitlines():
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        if is_url(entry):
            yield from _videos_at(entry, _name_of(entry), lists)
        elif folder is not None:
            parts = (part for part in PurePosixPath(entry).parts if part not in ("/", ".."))
            yield from _videos_at(str(folder / entry), "/".join(parts), lists)
        else:
            raise InvalidSource(f"a list at a URL may hold URLs only, found {entry!r}")


def _videos_at_url(url: str, name: str, suffix: str, lists: tuple[str, ...]) -> Found:
    try:
        files, path = file_system(url)
        if suffix == TAR:
            yield from _members(url, _name_of(url))
        elif suffix in LISTS:
            _refuse_circle(url, lists)
            yield from _videos_of_list(files.cat_file(path).decode("utf-8"), None, (*lists, url))
        elif is_http(url) or suffix in EXTENSIONS:
            yield _name_of(url), RemoteVideo(url)
        else:
            for found, info in sorted(files.find(path, detail=True).items()):
                below = _joined(name, found[len(path) :].lstrip("/"))
                inner = files.unstrip_protocol(found)
                if _suffix(found) == TAR:
                    yield from _members(inner, below)
                elif _suffix(found) in EXTENSIONS and info.get("size"):
                    yield below, RemoteVideo(inner, size_bytes=info["size"], modified=modified_of(info))
    except Problem:
        raise
    except Exception as error:
        raise InvalidSource(f"{url}: cannot be read: {type(error).__name__}: {error}") from error


def _members(tar: str, name: str) -> Found:
    """The videos of a tar, of which only the headers are read. What follows a damage is passed over."""
    videos: dict[str, RemoteVideo] = {}
    try:
        files, path = file_system(tar)
        with (
            files.open(path, "rb", block_size=_BLOCK_BYTES) as file,
            tarfile.open(fileobj=file, mode="r:") as members,
        ):
            for member in members:
                if member.isreg() and _suffix(member.name) in EXTENSIONS:
                    own = member.name.removeprefix("./")
                    if own in videos:
                        logger.warning("%s: has %s more than once; the last counts, as in tar", tar, own)
                    videos[own] = RemoteVideo(
                        tar, member.name, member.offset_data, member.size, f"{member.mtime}"
                    )
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        logger.warning("%s: cannot be read to its end as an uncompressed tar: %s", tar, error)
    yield from ((f"{name}/{own}", video) for own, video in videos.items())


def _refuse_circle(place: str, lists: tuple[str, ...]) -> None:
    if place in lists:
        chain = " → ".join([*lists[lists.index(place) :], place])
        raise InvalidSource(f"a list leads back to itself: {chain}; take the last of these lines out")


def _is_folder(place: str) -> bool:
    # Path.is_dir raises where a name is too long or a folder closed, as lines of a list may be anything.
    return os.path.isdir(place)  # noqa: PTH112


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _joined(folder: str, below: str) -> str:
    return f"{folder}/{below}" if folder else below


def _name_of(url: str) -> str:
    """Host and path of a URL, without user, password and, where the path names a video, the query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query and _suffix(parts.path) not in (*EXTENSIONS, TAR) else ""
    return f"{host}{parts.path}{query}"


def is_url(place: str) -> bool:
    """Whether it is no path."""
    return "://" in place
