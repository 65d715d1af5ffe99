"""Which label belongs to which video: exact names first, then names without suffix and extension."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from config.errors import count
from store.ids import storable_id
from store.labels.errors import AmbiguousVideoError, shown, some

T = TypeVar("T", str, Path)
Parts = tuple[str, ...]

IMAGE_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
VIDEO_EXTENSIONS = frozenset(
    {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".flv", ".f4v", ".wmv", ".asf", ".ts", ".mts", ".m2ts"}
    | {".mpg", ".mpeg", ".vob", ".mxf", ".y4m", ".ivf", ".3gp", ".3g2", ".ogv", ".gif"}
)
EXTENSIONS = VIDEO_EXTENSIONS | IMAGE_EXTENSIONS

# What YouTube-UGC's transcodes and KoNViD-1k's crops append to the names of the originals, and nine videos of
# LIVE-VQC (`A012NEW`) in one of its two releases.
_SUFFIXES = re.compile(
    r"(_crf_\d+_ss_\d+_t_[\d.]+|_(original|cut)_centercrop_\d+x\d+_\d+s|(?<=^[AB]\d{3})NEW)$"
)
_ABSOLUTE = re.compile(r"\s*([A-Za-z]:)?[\\/]")


@lru_cache(1 << 16)  # A video has a row for each rater.
def video_id(name: str | Path) -> str:
    """The canonical id of a video: its directories with `/` and its name without extension and known suffix.

    `KoNViD_1k_videos\\123_original_centercrop_960x540_8s.MP4` gives `KoNViD_1k_videos/123`. Directories are
    kept because LSVQ has different videos of one name in different directories. Unicode is composed (NFC).
    What cannot be printed is escaped: see store.ids.
    """
    return "/".join(_forms(_parts(name))[1])


@lru_cache(1 << 16)
def full_id(name: str | Path) -> str:
    """The id with suffix and extension (in lower case), for videos that nothing else tells apart."""
    return "/".join(_forms(_parts(name))[0])


def _parts(name: str | Path) -> Parts:
    text = storable_id(unicodedata.normalize("NFC", str(name)).strip().replace("\\", "/"))
    return tuple(part for part in text.split("/") if part not in ("", "."))


def _forms(parts: Parts) -> tuple[Parts, Parts]:
    """Directories and whole name, its ending in lower case; and the same without suffix and extension."""
    if not parts:
        return (), ()
    *directories, name = parts
    stem = _stem(name)
    return (*directories, stem + name[len(stem) :].lower()), (*directories, stem)


def _stem(name: str) -> str:
    # Until nothing goes: LSVQ has files named `….mov.mp4`, whose labels may lack the last extension.
    head, dot, extension = name.rpartition(".")
    shorter = head if head and dot + extension.lower() in EXTENSIONS else _SUFFIXES.sub("", name)
    return name if shorter in ("", name) else _stem(shorter)


@dataclass(frozen=True)
class Coverage(Generic[T]):
    """How labels and videos meet; nothing is dropped without a name here."""

    found: dict[str, T]
    """Label id → the video's file or id."""
    missing: list[str]
    """Label ids without a video."""
    extra: list[str]
    """Videos without a label."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Missing label → a video of its name in a folder of another name, which was not joined."""

    def report(self) -> str:
        """The counts, and at most ten names of each kind that did not meet."""
        lines = [f"{len(self.found)} of {len(self.found) + len(self.missing)} labelled videos found"]
        if self.missing:
            lines.append(f"{count(len(self.missing), 'label')} without a video: {some(self.missing)}")
        if self.extra:
            lines.append(f"{count(len(self.extra), 'video')} without a label: {some(self.extra)}")
        if self.elsewhere:
            pairs = [f"{label} ({video})" for label, video in self.elsewhere.items()]
            lines.append(f"not joined, as the folders differ: {some(pairs)}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """`found` (id → path), `missing` and `extra`, complete."""
        found = {label: str(video) for label, video in self.found.items()}
        return {"found": found, "missing": self.missing, "extra": self.extra}


@dataclass(frozen=True, slots=True)
class _Name(Generic[T]):
    """A label or a video, as it takes part in the joining."""

    own: T
    full: Parts
    stem: Parts
    inside: int
    """So many of the last parts are the dataset's; those before say where it lies on a disk."""


def resolve(
    label_ids: Iterable[str],
    names: Iterable[T],
    folder: Path | None = None,
    written: Mapping[str, str] | None = None,
) -> Coverage[T]:
    """Join labels to videos: to files, or to ids such as those of stored features.

    `folder` is where the files were searched; `written` has the labels' names as the label file has them.
    A label joins the video with which it shares the most trailing path components, exact names before names
    without suffix and extension. A directory that only one side has is forgiven; directories that differ
    never join. Directories above `folder`, or above all absolute names, count only where they agree, or where
    the other side has a directory of that name inside the dataset. Labels that differ in suffix or extension
    alone join exact names alone.

    Takes time and memory linear in the names. Raises AmbiguousVideoError, with the candidates, where this
    leaves several.
    """
    written = {label: (written or {}).get(label, label) for label in label_ids}
    files = dict.fromkeys(names)
    labels, videos = _names(written, written.values(), None), _names(files, files, folder)
    wanted, offered = _within(labels, videos), _within(videos, labels)
    stems = Counter(name.stem for name in wanted)
    matches: dict[str, T] = {}
    deepest = min(max((len(name.full) for name in side), default=0) for side in (wanted, offered))
    for depth in range(deepest, 0, -1):
        for exact in (True, False):
            taking_part = [name for name in wanted if exact or stems[name.stem] == 1]
            for some_labels, some_videos in _meeting(taking_part, offered, depth, exact):
                matches |= _pairs(some_labels, some_videos, depth)
            taken = set(matches.values())
            wanted = [name for name in wanted if name.own not in matches]
            offered = [name for name in offered if name.own not in taken]
    same_name = {name.stem[-1]: str(name.own) for name in reversed(offered) if name.stem}
    return Coverage(
        found={label: matches[label] for label in written if label in matches},
        missing=[name.own for name in wanted],
        extra=[str(name.own) for name in offered],
        elsewhere={n.own: same_name[n.stem[-1]] for n in wanted if n.stem and n.stem[-1] in same_name},
    )


def _names(own: Iterable[T], written: Iterable[str | Path], folder: Path | None) -> list[_Name[T]]:
    texts = [str(name) for name in written]
    parts = [_parts(text) for text in texts]
    absolute = [
        len(p) > 1 and _ABSOLUTE.match(text) is not None for text, p in zip(texts, parts, strict=True)
    ]
    folders = ["/".join(p[:-1]) for p, is_absolute in zip(parts, absolute, strict=True) if is_absolute]
    together = tuple(os.path.commonpath(folders).split("/")) if folders else ()
    top = together if folder is None else _parts(folder)
    names = []
    for name, path, is_absolute in zip(own, parts, absolute, strict=True):
        above = len(top) if (is_absolute or folder is not None) and path[: len(top)] == top else 0
        names.append(_Name(name, *_forms(path), len(path) - above))
    return names


def _within(names: Sequence[_Name[T]], others: Sequence[_Name[Any]]) -> list[_Name[T]]:
    """A directory that the other side knows, too, is the dataset's, though all absolute names share it."""
    known = {part for other in others for part in other.full[-other.inside : -1]}

    def known_inside(name: _Name[T]) -> _Name[T]:
        count = name.inside
        while count < len(name.full) and name.full[-count - 1] in known:
            count += 1
        return name if count == name.inside else replace(name, inside=count)

    return [known_inside(name) for name in names]


def _meeting(
    labels: Sequence[_Name[str]], videos: Sequence[_Name[T]], depth: int, exact: bool
) -> Iterable[tuple[list[_Name[str]], list[_Name[T]]]]:
    """Labels and videos whose last `depth` components are equal."""

    def ending(name: _Name[Any]) -> Parts:
        return (name.full if exact else name.stem)[-depth:]

    groups: dict[Parts, tuple[list[_Name[str]], list[_Name[T]]]] = defaultdict(lambda: ([], []))
    for label in labels:
        if len(label.full) >= depth:
            groups[ending(label)][0].append(label)
    for video in videos:
        if len(video.full) >= depth and ending(video) in groups:
            groups[ending(video)][1].append(video)
    return (group for group in groups.values() if group[1])


def _pairs(labels: list[_Name[str]], videos: list[_Name[T]], depth: int) -> dict[str, T]:
    """Pairs of those whose last `depth` components are equal: at least one of the two has no further ones."""
    whole_labels = [label for label in labels if label.inside <= depth]
    whole_videos = [video for video in videos if video.inside <= depth]
    if not whole_labels and not whole_videos:
        return {}
    labels, names = whole_labels or labels, [video.own for video in whole_videos or videos]
    if len(names) > 1:  # a video's thumbnail often lies beside it under the same name
        names = [name for name in names if Path(name).suffix.lower() not in IMAGE_EXTENSIONS] or names
    if len(names) > 1:
        raise AmbiguousVideoError(
            f"label {shown(labels[0].own)} could mean {len(names)} videos: {some(names)};"
            " name the directory and the extension in the label file, or keep only one of them in the"
            " dataset's folder"
        )
    if len(labels) > 1:
        raise AmbiguousVideoError(
            f"{shown(names[0])} could belong to {len(labels)} labels:"
            f" {some([label.own for label in labels])}; put the videos in the directories that they name"
        )
    return {labels[0].own: names[0]}
