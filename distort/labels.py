"""labels.csv: what each copy shows, how strongly and when; sources.csv: what they were made of."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from distort.chain import Outline, outline
from distort.kinds import Kinds
from distort.plan import Copy
from distort.sources import Source
from store.durable.commit import write_file

COLUMNS = (
    *("video", "source", "split", "kind", "strength", "start", "end", "still"),
    *("seconds", "fps", "width", "height"),
)
SOURCE_COLUMNS = ("source", "file", "split", "seconds", "fps", "width", "height", "problem")

PRISTINE = "none"


@dataclass(frozen=True)
class Labelled:
    """A copy with what is known of it."""

    source: Source
    split: str
    copy: Copy
    outline: Outline

    @property
    def video(self) -> str:
        """Its file, below the folder of videos."""
        return f"{self.source.name}/{self.copy.name}.mp4"

    def row(self) -> dict[str, object]:
        """By COLUMNS; times in seconds of the copy."""
        start, end = self.outline.distorted if self.copy.parts else ("", "")
        return {
            "video": self.video,
            "source": self.source.name,
            "split": self.split,
            "kind": "+".join(part.kind for part in self.copy.parts) or PRISTINE,
            "strength": "+".join(str(part.strength) for part in self.copy.parts) or 0,
            "start": _rounded(start),
            "end": _rounded(end),
            "still": " ".join(f"{begin:.3f}-{end:.3f}" for begin, end in self.outline.still),
            "seconds": _rounded(self.outline.seconds),
            "fps": _rounded(self.source.extent.fps),
            "width": self.source.width,
            "height": self.source.height,
        }


def labelled(source: Source, split: str, copies: Iterable[Copy], kinds: Kinds) -> list[Labelled]:
    """The copies of a source."""
    return [
        Labelled(
            source,
            split,
            copy,
            outline(source.extent, copy.parts, seed=copy.seed, stretch=copy.stretch, kinds=kinds),
        )
        for copy in copies
    ]


def write_labels(path: Path, copies: Iterable[Labelled]) -> None:
    """A row for each copy."""
    _write(path, COLUMNS, (copy.row() for copy in copies))


def write_sources(
    path: Path,
    sources: Iterable[Source],
    split_of: dict[str, str],
    names: dict[str, str],
    problems: dict[str, str],
) -> None:
    """A row for each source; of those that cannot be used, by their files, the reason.

    `names`: file → name; a source whose name is taken has none.
    """
    rows: list[dict[str, object]] = [
        {
            "source": source.name,
            "file": source.path,
            "split": split_of[source.name],
            "seconds": _rounded(source.extent.seconds),
            "fps": _rounded(source.extent.fps),
            "width": source.width,
            "height": source.height,
        }
        for source in sources
    ]
    rows += [
        {"source": names.get(file), "file": file, "problem": problem}
        for file, problem in sorted(problems.items())
    ]
    _write(path, SOURCE_COLUMNS, rows)


def _write(path: Path, columns: Sequence[str], rows: Iterable[dict[str, object]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, text.getvalue().encode("utf-8", "surrogateescape"))


def _rounded(value: float | str) -> float | str:
    return value if isinstance(value, str) else round(value, 3)
