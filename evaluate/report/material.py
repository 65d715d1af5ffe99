"""What a report is made of: plain data, known before any page or chart is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluate.metrics.resampling import Interval
from evaluate.metrics.scores import Metrics
from evaluate.report.figures import Figure
from evaluate.report.tables import Table
from evaluate.results.facts import VideoFacts
from evaluate.results.predictions import PredictedVideo
from store.labels.files import MosScale

_POINTS = MosScale(0.0, 100.0)


@dataclass(frozen=True)
class CurvePoint:
    """One measurement of a curve."""

    x: float
    y: float
    name: str
    """Stands at the point: a setting, a method, a share."""
    series: str = ""
    """Points of one series are joined by a line."""
    low: float | None = None
    high: float | None = None
    """Ends of an interval around y."""


@dataclass(frozen=True)
class Curve:
    """How a figure depends on what it costs: SRCC by tokens, by the share of the data, by seconds a video."""

    title: str
    x: str
    """The horizontal axis, with its unit."""
    points: Sequence[CurvePoint]
    y: str = "SRCC"
    interval: str = "95 % interval"
    """What the points' intervals are."""
    logarithmic: bool = False
    """The horizontal axis; its values must then be above 0."""
    note: str = ""

    def __post_init__(self) -> None:
        if self.logarithmic and any(point.x <= 0 for point in self.points):
            raise ValueError(f"{self.title}: a logarithmic axis has no place for values of 0 or less")


@dataclass(frozen=True)
class NamedTable:
    """A table with what it shows."""

    title: str
    table: Table
    note: str = ""


@dataclass(frozen=True)
class Report:
    """All that the page shows; scores, MOS, standard deviations and RMSE in units of `scale`."""

    title: str
    """The run's name."""
    dataset: str
    split: str
    rows: Sequence[PredictedVideo]
    expected: Metrics
    generate: Metrics
    """Of the videos whose answer states a score."""
    intervals: Mapping[str, Interval | None]
    """Bootstrap 95 % intervals: `expected_srcc`, `expected_plcc`, `generate_srcc`, `generate_plcc`."""
    parse_failures: int
    """Videos whose written answer states no score."""
    level_accuracy: Mapping[str, float | None]
    """Level → share classified correctly, with `total`."""
    confusion: Mapping[str, Mapping[str, int]]
    """True level → predicted level → videos."""
    comparison: Table
    notes: Sequence[str] = ()
    """What the reader must know before the figures, such as random weights."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Resolved settings, feature keys, versions, seeds… in any JSON form; the only place for a date."""
    scale: MosScale = _POINTS
    """(worst, best) of the rows' opinion scores."""
    facts: Mapping[str, VideoFacts] = field(default_factory=dict)
    """Video → what is known of it; may lack videos."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Video → its file, for key frames of the worst; may lack videos."""
    missing: Sequence[str] = ()
    """Labelled videos that were left out, as they have no features."""


@dataclass(frozen=True)
class Section:
    """A part of a study's page."""

    title: str
    figures: Sequence[Figure] = ()
    tables: Sequence[NamedTable] = ()
    note: str = ""


@dataclass(frozen=True)
class StudyPage:
    """What a page shows of several methods: a comparison, a protocol, an ablation."""

    kind: str
    title: str
    facts: Mapping[str, str]
    """What was done to how much, in few words."""
    sections: Sequence[Section]
    remarks: Sequence[str] = ()
    """What the figures rest on."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    videos: Sequence[Mapping[str, Any]] = ()
    """Rows that the figures share."""
    told: Mapping[str, str] = field(default_factory=dict)
    """Key of those rows → what it is called where a mark is tapped."""
