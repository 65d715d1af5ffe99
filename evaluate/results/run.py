"""Evaluate a trained run on a dataset's videos: predictions, metrics, tables and the report's material."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from config.schema import DatasetSettings
from evaluate.metrics.answers import further_tasks, given, level_figures, task_figures
from evaluate.metrics.scores import (
    Intervals,
    LevelAccuracy,
    Metrics,
    bootstrap_intervals,
    score_metrics,
)
from evaluate.metrics.spread import Spread, spread_of
from evaluate.results.facts import VideoFacts, video_facts, video_files
from evaluate.results.predictions import PredictedVideo, write_predictions
from evaluate.scoring.model import parse_failures, predict_stored, run_reader
from store.durable.commit import write_file
from store.features import FeatureStore
from store.labels.dataset import join_split, label_changes, labelled_split
from store.labels.files import Label, MosScale
from train.answers.forms import Value, scored
from train.errors import FeaturesMissingError, RunError
from train.inference.predict import Prediction
from train.pretrained import TrainedModel
from train.saving.labels import load_labels

_HARDLY = 0.02
"""Of the span of the opinion scores."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that is known after a run has been tested; scores on the dataset's own scale."""

    dataset: str
    scale: MosScale
    """Of the dataset's opinion scores, and so of every score here."""
    part: str
    """The split that was tested, or `all` of a dataset that the run was not trained on."""
    rows: list[PredictedVideo]
    expected: Metrics
    expected_intervals: Intervals
    generate: Metrics
    """Of the videos whose written answer states a score."""
    generate_intervals: Intervals
    parse_failures: int
    spread: Spread | None
    """Of the expected scores' standard deviations; None where there are none."""
    levels: LevelAccuracy
    """Of the likeliest levels."""
    levels_generate: LevelAccuracy
    """Of the levels that the written answers name, or their scores stand for."""
    missing: list[str]
    """Labelled videos without features."""
    tasks: dict[str, Metrics | LevelAccuracy]
    """Of the further tasks whose true answers the labels have: numbers, in units of their answers; words."""
    remarks: list[str]
    """What is unlike the time when the run was begun: opinion scores that differ."""
    facts: Mapping[str, VideoFacts] = field(default_factory=dict)
    """Of the rows' videos."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Of the rows' videos, those that are on this machine."""

    def as_json(self) -> dict[str, Any]:
        """Plain data, without the rows."""
        return {
            "dataset": self.dataset,
            "part": self.part,
            "n": len(self.rows),
            "expected": {**asdict(self.expected), "intervals": asdict(self.expected_intervals)},
            "generate": {**asdict(self.generate), "intervals": asdict(self.generate_intervals)},
            "parse_failures": self.parse_failures,
            "std": None if self.spread is None else asdict(self.spread),
            "level_accuracy": {**self.levels.classes, "total": self.levels.total},
            "level_accuracy_generate": {**self.levels_generate.classes, "total": self.levels_generate.total},
            "confusion": self.levels.confusion,
            "tasks": {name: asdict(figures) for name, figures in self.tasks.items()},
            "missing": self.missing,
            "remarks": self.remarks,
        }


def evaluate_run(
    trained: TrainedModel,
    store: FeatureStore,
    dataset: DatasetSettings | None = None,
    part: str = "test",
    *,
    quiet: bool = False,
) -> Evaluation:
    """Test the run on a part of one of its own datasets, or on the whole of another (out of distribution).

    Its first own dataset is tested where none is named.

    Raises RunError for a part that the run does not have, FeaturesMissingError where no video has features.
    """
    if scored(trained.settings.tasks) is None:
        raise RunError(
            f"{trained.folder} was not asked for opinion scores (tasks {', '.join(trained.settings.tasks)}):"
            " `python -m evaluate predict` shows its answers"
        )
    settings = trained.settings
    tested = settings.dataset if dataset is None else settings.pipeline.on_its_scale(dataset)
    part = part if trained.settings.trains_on(tested.name) else "all"
    labels = _labels(trained, tested, part)
    reader = run_reader(trained, store, tested)
    present, missing = join_split({part: labels}, reader.videos())
    if not present[part]:
        raise FeaturesMissingError(
            f"none of the {len(labels)} videos of {tested.name} ({part}) has features with the run's keys"
            f" {reader.keys}; first run: make extract DATASET={tested.name}"
            f" PIPELINE={trained.settings.pipeline.name}"
            if labels
            else f"the labels of {tested.name} have no video of the run's split {part!r}"
        )
    predictions = predict_stored(
        trained, reader, [label.video for label in present[part]], tested.name, quiet=quiet
    )
    judged = _judge(trained, tested, part, present[part], predictions, missing)
    return replace(judged, facts=video_facts(reader, present[part]), files=video_files(tested))


def _score_changes(folder: Path, dataset: str, part: str, labels: Sequence[Label]) -> list[str]:
    """How the tested labels differ from those that the run was begun with; of another dataset nothing."""
    if part == "all":
        return []
    recorded = load_labels(folder)[dataset].videos
    now = {label.video: (label.mos, part, None) for label in labels if label.video in recorded}
    before = {video: (recorded[video][0], part, None) for video in now}
    return [f"since the run was begun, {change}" for change in label_changes(before, now)]


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write predictions.csv and metrics.json."""
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / "predictions.csv", evaluation.rows)
    write_file(folder / "metrics.json", json.dumps(evaluation.as_json(), indent=2).encode())


def evaluation_folder(trained: TrainedModel, dataset: str, part: str) -> Path:
    """evaluation/ for the test split of the run's first dataset, evaluation-<what>/ for everything else."""
    own = trained.settings.trains_on(dataset)
    what = [] if dataset == trained.settings.dataset.name else [dataset]
    what += [part] if own and part != "test" else []
    return trained.folder / "-".join(["evaluation", *what])


def _labels(trained: TrainedModel, dataset: DatasetSettings, part: str) -> Sequence[Label]:
    recorded = None if part == "all" else load_labels(trained.folder)[dataset.name]
    everything = [label for labels in labelled_split(dataset).values() for label in labels]
    if recorded is None:
        return everything
    if part not in recorded.missing:
        there = ", ".join(name for name, videos in recorded.split.items() if videos)
        raise RunError(f"{trained.folder} has no split {part!r} of {dataset.name}; it has {there}")
    known, _ = join_split({part: everything}, recorded.split[part])
    without = set(recorded.missing[part])
    return [*known[part], *(label for label in everything if label.video in without)]


def _judge(
    trained: TrainedModel,
    dataset: DatasetSettings,
    part: str,
    labels: Sequence[Label],
    predictions: Sequence[Prediction],
    missing: list[str],
) -> Evaluation:
    scale, levels = MosScale.of(dataset), trained.levels(dataset.name)
    true_levels = [None if levels is None else levels.level(scale.to_100(label.mos)) for label in labels]
    truth, further, remarks = further_tasks(trained, dataset, labels)
    rows = [
        _row(label, prediction, level, scale, {name: answers.get(name, "") for name in further})
        for label, prediction, level, answers in zip(labels, predictions, true_levels, truth, strict=True)
    ]
    mos = [label.mos for label in labels]
    expected, generate = given(mos, [r.score for r in rows]), given(mos, [r.score_generate for r in rows])
    return Evaluation(
        dataset=dataset.name,
        scale=scale,
        part=part,
        rows=rows,
        expected=score_metrics(*expected),
        expected_intervals=bootstrap_intervals(*expected),
        generate=score_metrics(*generate),
        generate_intervals=bootstrap_intervals(*generate),
        parse_failures=parse_failures(trained, predictions),
        spread=spread_of(
            [scale.to_100(value) for value in mos], predictions, trained.settings.pipeline.std_scale
        ),
        levels=level_figures(true_levels, [prediction.level for prediction in predictions], levels),
        levels_generate=level_figures(true_levels, [p.level_generate for p in predictions], levels),
        tasks={name: task_figures(name, task, truth, predictions) for name, task in further.items()},
        missing=missing,
        remarks=[
            *_score_changes(trained.folder, dataset.name, part, labels),
            *hardly_differing(*expected),
            *remarks,
        ],
    )


def hardly_differing(mos: Sequence[float], scores: Sequence[float]) -> list[str]:
    """A remark where scores differ so little beside opinion scores that their correlations mean little."""
    if len(mos) < 2:
        return []
    found, there = max(scores) - min(scores), max(mos) - min(mos)
    if found >= _HARDLY * there:
        return []
    return [
        f"the scores differ by {found:.2g} at most, the opinion scores by {there:.3g}: the run has hardly"
        " learnt anything, and their correlations mean little; train longer (training.epochs), or with"
        " a higher training.learning_rate"
    ]


def _row(
    label: Label, prediction: Prediction, level: str | None, scale: MosScale, further: Mapping[str, Value]
) -> PredictedVideo:
    """`further`: task → true answer, or nothing."""
    stated, score = prediction.score_generate, prediction.score
    answers = {name: prediction.answers[name] for name in further}
    found = {f"{name}_pred": a.text if a.value is None else a.value for name, a in answers.items()}
    return PredictedVideo(
        video=label.video,
        mos=label.mos,
        score=None if score is None else scale.from_100(score),
        std=None if prediction.std is None else scale.width_from_100(prediction.std),
        score_generate=None if stated is None else scale.from_100(stated),
        level=level,
        level_pred=prediction.level,
        text=prediction.text,
        extra={
            **{key: str(value) for key, value in label.extra.items() if key in ("distortion", "content")},
            **{key: str(value) for key, value in (*further.items(), *found.items()) if value is not None},
        },
    )
