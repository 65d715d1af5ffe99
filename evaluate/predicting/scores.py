"""What a run says of one video file. The fields' names are those of JSON and CSV, and do not change."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from config.schema import DatasetSettings
from evaluate.metrics.calibration import deviations
from store.labels.files import MosScale
from train.inference.predict import Prediction, TaskAnswer
from train.model.distance import USUAL_SHARE

INTERVAL: Final = 0.8
"""Share of videos whose opinion score lies between `low` and `high`, as far as the run is calibrated."""
_DEVIATIONS: Final = deviations(INTERVAL)
_PLACES: Final = 2


@dataclass(frozen=True)
class Moment:
    """The score of a stretch of time, 0–100. start, end: seconds from the video's beginning."""

    start: float
    end: float
    score: float


@dataclass(frozen=True)
class VideoScore:
    """What a run says of a video, or the reason why it says nothing. Numbers have two decimals."""

    video: str
    """As it was asked for: a path or URL."""
    score: float | None = None
    """The expected score, 0–100, 100 is best."""
    std: float | None = None
    """Its standard deviation; calibrated, where the run is."""
    low: float | None = None
    """The lower end of the interval that holds 80 % of the opinion scores, of a normal distribution."""
    high: float | None = None
    """Its upper end."""
    mos: float | None = None
    """The score on the opinion scale of the dataset that the run learnt from, the first of several."""
    level: str | None = None
    text: str | None = None
    """The written answer to the question of the score, or those to all tasks."""
    distance: float | None = None
    """How far the features lie from the training videos'; more than 1 is unusual."""
    seconds: float | None = None
    """The video's length."""
    curve: tuple[Moment, ...] = ()
    """The scores of its stretches, where they were asked for."""
    worst: Moment | None = None
    """The stretch of the lowest score, the first of several."""
    answers: Mapping[str, float | str | None] = field(default_factory=dict)
    """Task → number, word or text."""
    warnings: tuple[str, ...] = ()
    """What is peculiar about the file and its features."""
    error: str | None = None
    """Why there is no score."""

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {**asdict(self), "curve": [asdict(each) for each in self.curve], "warnings": [*self.warnings]}

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> "VideoScore":
        """The inverse of `as_json`. Raises KeyError or TypeError where it is of something else."""
        moments = tuple(Moment(**each) for each in found["curve"])
        worst = None if found["worst"] is None else Moment(**found["worst"])
        return cls(**{**found, "curve": moments, "worst": worst, "warnings": tuple(found["warnings"])})


def video_score(
    video: str,
    found: Prediction,
    dataset: DatasetSettings,
    seconds: float,
    curve: tuple[Moment, ...] = (),
    warnings: tuple[str, ...] = (),
) -> VideoScore:
    """From a prediction; `dataset`: on whose opinion scale `mos` is."""
    low = high = mos = None
    if found.score is not None:
        mos = MosScale.of(dataset).from_100(found.score)
        if found.std is not None:
            low = max(0.0, found.score - _DEVIATIONS * found.std)
            high = min(100.0, found.score + _DEVIATIONS * found.std)
    answers = {name: _said(answer) for name, answer in found.answers.items()}
    return VideoScore(
        video=video,
        score=_rounded(found.score),
        std=_rounded(found.std),
        low=_rounded(low),
        high=_rounded(high),
        mos=_rounded(mos),
        level=found.level,
        text=found.text or "; ".join(f"{name}: {said}" for name, said in answers.items()),
        distance=_rounded(found.distance),
        seconds=_rounded(seconds),
        curve=curve,
        worst=min(curve, key=lambda moment: moment.score, default=None),
        answers=answers,
        warnings=(*warnings, *_unusual(found)),
    )


def moment(start: float, end: float, score: float) -> Moment:
    """With two decimals."""
    return Moment(round(start, _PLACES), round(end, _PLACES), round(score, _PLACES))


def _unusual(prediction: Prediction) -> list[str]:
    distance = prediction.distance
    if distance is None or distance <= 1:
        return []
    return [
        f"unlike the videos that the model was trained on: its features lie {distance:.1f} times as far from"
        f" theirs as {USUAL_SHARE:.0%} of these do; the score may mean little"
    ]


def _said(answer: TaskAnswer) -> float | str | None:
    """The number or word, or else the text."""
    value = answer.text if answer.value is None else answer.value
    return round(value, _PLACES) if isinstance(value, float) else value


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _PLACES)
