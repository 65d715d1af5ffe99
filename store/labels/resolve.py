"""Which label belongs to which video: names are joined without their directory, suffix and extension."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from store.ids import storable_id
from store.labels.errors import AmbiguousVideoError, VideoFolderMissingError, some

T = TypeVar("T", str, Path)

IMAGE_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
VIDEO_EXTENSIONS = frozenset(
    {".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".flv", ".wmv", ".ts", ".m2ts"}
    | {".mpg", ".mpeg", ".y4m", ".3gp", ".ogv", ".gif"}
)
EXTENSIONS = VIDEO_EXTENSIONS | IMAGE_EXTENSIONS

# What YouTube-UGC's transcodes and KoNViD-1k's crops append to the names of the originals, and nine videos of
# LIVE-VQC (`A012NEW`) in one of its two releases.
_SUFFIXES = re.compile(
    r"(_crf_\d+_ss_\d+_t_[\d.]+|_(original|cut)_centercrop_\d+x\d+_\d+s|(?<=^[AB]\d{3})NEW)$"
)


def video_id(name: str | Path) -> str:
    """The canonical id of a video: its directories with `/` and its name without extension and known suffix.

    `KoNViD_1k_videos\\123_original_centercrop_960x540_8s.MP4` gives `KoNViD_1k_videos/123`. Directories are
    kept because LSVQ has different videos of one name in different directories. What cannot be printed is
    escaped: see store.ids.
    """
    parts = [part for part in str(name).strip().replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts:
        return ""
    return storable_id("/".join([*parts[:-1], _stem(parts[-1])]))


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

    def report(self) -> str:
        """The counts, and at most ten names of each kind that did not meet."""
        lines = [f"{len(self.found)} of {len(self.found) + len(self.missing)} labelled videos found"]
        if self.missing:
            lines.append(f"{_count(self.missing, 'label')} without a video: {some(self.missing)}")
        if self.extra:
            lines.append(f"{_count(self.extra, 'video')} without a label: {some(self.extra)}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """`found` (id → path), `missing` and `extra`, complete."""
        found = {label: str(video) for label, video in self.found.items()}
        return {"found": found, "missing": self.missing, "extra": self.extra}


def find_videos(folder: Path) -> list[Path]:
    """Every video (and image) in the folder and its subfolders, by extension in any case, sorted.

    Hidden files are no videos (macOS keeps `._clip.mp4` beside `clip.mp4`).
    Raises VideoFolderMissingError where there is no such folder.
    """
    if not folder.is_dir():
        found = "it is a file" if folder.exists() else "it does not exist"
        raise VideoFolderMissingError(f"the folder of videos {folder} was expected, but {found}")
    return sorted(
        path for path in folder.rglob("[!.]*") if path.suffix.lower() in EXTENSIONS and path.is_file()
    )


def resolve(label_ids: Iterable[str], names: Iterable[T]) -> Coverage[T]:
    """Join labels to videos: to files, or to ids such as those of stored features.

    Names meet when they are equal without extension and known suffix; where several are, those with the
    most directories in common meet. A directory that only one side knows is forgiven; one that both sides
    know tells videos apart. Raises AmbiguousVideoError, with the candidates, where that does not decide.
    """
    labels = {label: tuple(video_id(label).split("/")) for label in dict.fromkeys(label_ids)}
    videos = {name: tuple(video_id(name).split("/")) for name in dict.fromkeys(names)}
    shared = {p[-2] for p in labels.values() if len(p) > 1} & {p[-2] for p in videos.values() if len(p) > 1}

    same_stem: dict[str, tuple[list[str], list[T]]] = defaultdict(lambda: ([], []))
    for label, parts in labels.items():
        same_stem[parts[-1]][0].append(label)
    for video, parts in videos.items():
        same_stem[parts[-1]][1].append(video)

    matches: dict[str, T] = {}
    for some_labels, some_videos in same_stem.values():
        depths = {
            (label, video): _common_depth(labels[label], videos[video], shared)
            for label in some_labels
            for video in some_videos
        }
        matches.update(_match(depths))
    taken = set(matches.values())
    return Coverage(
        found={label: matches[label] for label in labels if label in matches},
        missing=[label for label in labels if label not in matches],
        extra=[str(video) for video in videos if video not in taken],
    )


def _common_depth(label: Sequence[str], video: Sequence[str], shared: set[str]) -> int:
    """How many trailing components agree; 0 where a directory that both sides know contradicts."""
    depth = 0
    for one, other in zip(reversed(label), reversed(video), strict=False):
        if one != other:
            break
        depth += 1
    if depth == 1 and len(label) > 1 and len(video) > 1:
        contradicts = (label[-2] in shared and label[-2] not in video[:-1]) or (
            video[-2] in shared and video[-2] not in label[:-1]
        )
        return 0 if contradicts else 1
    return depth


def _match(depths: dict[tuple[str, T], int]) -> dict[str, T]:
    """Pairs of labels and videos of one stem, the deepest agreement first."""
    matches: dict[str, T] = {}
    for depth in sorted({d for d in depths.values() if d > 0}, reverse=True):
        taken = set(matches.values())
        candidates: dict[str, list[T]] = defaultdict(list)
        for (label, video), agreed in depths.items():
            if agreed == depth and label not in matches and video not in taken:
                candidates[label].append(video)
        claims: dict[T, list[str]] = defaultdict(list)
        for label, videos in candidates.items():
            chosen = _only_one(label, videos)
            claims[chosen].append(label)
            matches[label] = chosen
        for video, claimants in claims.items():
            if len(claimants) > 1:
                raise AmbiguousVideoError(
                    f"{video} could belong to {len(claimants)} labels: {some(claimants)};"
                    " put the videos in the directories that the labels name"
                )
    return matches


def _only_one(label: str, videos: Sequence[T]) -> T:
    # A video's thumbnail often lies beside it under the same name.
    moving = [video for video in videos if Path(video).suffix.lower() not in IMAGE_EXTENSIONS] or list(videos)
    if len(moving) > 1:
        raise AmbiguousVideoError(
            f"label {label} could mean {len(moving)} videos: {some([str(video) for video in moving])};"
            " name the directory in the label file, or keep only one of them in the dataset's folder"
        )
    return moving[0]


def _count(names: Sequence[str], what: str) -> str:
    return f"{len(names):,} {what}{'' if len(names) == 1 else 's'}"
