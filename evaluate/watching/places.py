"""What a person wants scored: files, folders, patterns, lists, tars, URLs, and paths on standard input."""

from collections.abc import Iterable, Sequence
from glob import glob
from pathlib import Path

from evaluate.errors import NotHere
from extract.job.sources import LISTS, TAR, is_url, locations_at
from extract.location import Location
from store.labels.folder import require_videos

STANDARD_INPUT = "-"
_MAGIC = frozenset("*?[")


def expand(places: Sequence[str | Path], standard_input: Iterable[str] = ()) -> list[Location]:
    """The videos asked for, in that order.

    Of a folder every video in it; of a pattern (`*`, `?`, `[…]`, `**`) the videos and folders that it fits;
    of a list (`.txt`: a place a line) or a tar those that it names; `-` stands for places that come a line
    each on standard input. A file that does not exist is kept, to be reported. Raises VideoFolderError at a
    folder without any, NoVideos and InvalidSource at a list or URL.
    """
    found: list[Location] = []
    for place in places:
        text = str(place)
        if text == STANDARD_INPUT:
            found += expand([line.strip() for line in standard_input if line.strip()])
        elif is_url(text) or (Path(text).suffix.lower() in (*LISTS, TAR) and Path(text).is_file()):
            found += locations_at(text)
        elif Path(text).is_dir():
            found += require_videos(Path(text))
        elif (
            _MAGIC.isdisjoint(text)
            or Path(text).exists()
            or not (fitting := sorted(glob(text, recursive=True)))  # noqa: PTH207 - takes absolute ones, too
        ):
            found.append(Path(text))
        else:
            for each in fitting:
                found += require_videos(Path(each)) if Path(each).is_dir() else [Path(each)]
    return found


def expand_files(places: Sequence[str | Path], standard_input: Iterable[str] = ()) -> list[Path]:
    """As `expand`, of files on this machine alone. Raises NotHere at others."""
    found = expand(places, standard_input)
    if remote := [str(each) for each in found if not isinstance(each, Path)]:
        raise NotHere(f"{remote[0]} is not a file of this machine: copy it here first")
    return [each for each in found if isinstance(each, Path)]
