"""The videos that the charts show: those with a finite score and MOS, as many as a page can hold."""

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from evaluate.report.figures import finite
from evaluate.report.numbers import number, scale_decimals, signed
from evaluate.report.tables import NOTHING, Table
from evaluate.results.facts import VideoFacts
from evaluate.results.predictions import PredictedVideo
from store.labels.files import MosScale

UNKNOWN_LEVEL = "level unknown"
_LONGEST_TEXT = 160
_MOST_BYTES = 560_000
"""Of the rows, as data and as a table together; the page has 2 MB, nearly half of which are scripts."""
_OF_MARKUP = 330
"""Bytes of a row beside its texts, which are there twice."""
TOLD = {
    "mos": "MOS",
    "score": "Score",
    "error": "Error",
    "level": "Level",
    "level_pred": "Predicted",
}
"""What is said of a video whose mark is tapped."""
_NOT_KNOWN = VideoFacts()


@dataclass(frozen=True)
class ScoredVideo:
    """A row that can be drawn."""

    row: PredictedVideo
    mos: float
    score: float
    facts: VideoFacts = _NOT_KNOWN

    @property
    def error(self) -> float:
        """Score minus MOS."""
        return self.score - self.mos

    @property
    def level(self) -> str:
        """The true one."""
        return self.row.level or UNKNOWN_LEVEL

    @property
    def text(self) -> str:
        """The written answer, cut where it is long."""
        text = self.row.text or NOTHING
        return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"

    def as_json(self, decimals: int) -> dict[str, Any]:
        """What charts and their tooltips read; numbers with 2 more decimals than are shown."""
        own = {
            "mos": self.mos,
            "score": self.score,
            "error": self.error,
        }
        return {
            "video": self.row.video,
            **{name: round(value, decimals + 2) for name, value in own.items()},
            "level": self.level,
            "level_pred": self.row.level_pred or NOTHING,
            "text": self.text,
        }


def scored_videos(
    rows: Sequence[PredictedVideo], facts: dict[str, VideoFacts] | None = None
) -> list[ScoredVideo]:
    """In their order."""
    known = facts or {}
    return [
        ScoredVideo(row, float(row.mos), float(row.score), known.get(row.video, _NOT_KNOWN))
        for row in rows
        if row.mos is not None and row.score is not None and finite(row.mos, row.score)
    ]


def fitting(rows: Sequence[ScoredVideo], always: Sequence[ScoredVideo] = ()) -> list[ScoredVideo]:
    """All rows if a page can hold them, or else a sample that depends on the videos' names alone.

    Those in `always` are in every sample; the order is kept.
    """
    sizes = {
        row.row.video: _OF_MARKUP + 2 * len(f"{row.row.video}{row.text}".encode(errors="backslashreplace"))
        for row in rows
    }
    chosen = sample(sizes, {row.row.video for row in always})
    return [row for row in rows if row.row.video in chosen]


def sample(sizes: Mapping[str, int], always: Set[str] = frozenset()) -> set[str]:
    """Of videos whose rows take so many bytes, those that a page can hold; `always` come first."""
    chosen, left = set(), _MOST_BYTES
    for video in sorted(sizes, key=lambda video: (video not in always, _digest(video))):
        left -= sizes[video]
        if left < 0:
            break
        chosen.add(video)
    return chosen


def table_of(rows: Sequence[ScoredVideo], scale: MosScale) -> Table:
    """All that the charts' marks tell, and the facts that are known of some of the videos."""
    decimals = scale_decimals(scale)
    further = [(head, read) for head, read in _FURTHER if any(read(row) is not None for row in rows)]
    heads = ("MOS", "Score", "Error", "Std", "Written score")
    return Table(
        ("Video", *heads, "Level", "Predicted", "Answer", *(head for head, _ in further)),
        tuple(
            (
                row.row.video,
                number(row.mos, decimals),
                number(row.score, decimals),
                signed(row.error, decimals),
                number(row.row.std, decimals),
                number(row.row.score_generate, decimals),
                row.row.level,
                row.row.level_pred,
                row.text,
                *(read(row) for _, read in further),
            )
            for row in rows
        ),
        frozenset({*heads, "Frame rate", "Seconds", "Size"}),
    )


def _size(row: ScoredVideo) -> str | None:
    width, height = row.facts.width, row.facts.height
    return None if width is None or height is None else f"{width}×{height}"


def _rate(row: ScoredVideo) -> str | None:
    return None if row.facts.fps is None else f"{row.facts.fps:.4g}"


def _seconds(row: ScoredVideo) -> str | None:
    return None if row.facts.seconds is None else f"{row.facts.seconds:.1f}"


def _content(row: ScoredVideo) -> str | None:
    return row.facts.group


_FURTHER = (("Size", _size), ("Frame rate", _rate), ("Seconds", _seconds), ("Content", _content))


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()
