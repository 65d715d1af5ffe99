"""Several models' predictions of the same videos, best first, and which differences are significant."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluate.errors import NothingToCompare, PredictionFileError
from evaluate.metrics.scores import Intervals, Metrics, bootstrap_intervals, score_metrics
from evaluate.metrics.significance import Pair, compare_pairs
from evaluate.results.agreement import LabelSource, groups_of, half_intervals
from evaluate.results.predictions import JoinedPredictions, PredictedVideo, PredictionTable, join_predictions
from store.labels.errors import some
from store.labels.files import Label


@dataclass(frozen=True)
class Comparison:
    """Models judged on the videos that all of them have a score of. Mappings by model are best first."""

    models: list[str]
    """Best first, by SRCC; those whose SRCC is undefined last."""
    videos: list[str]
    """The videos that are compared, in the labels' order."""
    mos: list[float]
    """Their opinion scores, in the labels' units."""
    groups: list[str] | None
    """Their content groups, which intervals resample; None where they resample videos."""
    scores: dict[str, list[float]]
    """By model, each in its own units."""
    metrics: dict[str, Metrics]
    intervals: dict[str, Intervals]
    pairwise: list[Pair]
    """Every two models, the better placed one first."""
    labelled: int
    """Videos with an opinion score."""
    missing: dict[str, list[str]]
    """By model, the labelled videos that it has no score of."""
    unlabelled: dict[str, list[str]]
    """By model, the videos that it has a prediction of, but the labels no opinion score."""

    def beaten(self, model: str) -> list[str]:
        """The models that this one is significantly better than (`Pair.better`)."""
        pairs = [pair for pair in self.pairwise if pair.better == model]
        return [pair.second if pair.first == model else pair.first for pair in pairs]

    def as_json(self) -> dict[str, Any]:
        """Plain data: figures without the scores themselves."""
        return {
            "n": len(self.videos),
            "labelled": self.labelled,
            "groups": None if self.groups is None else len({*self.groups}),
            "models": {
                model: {
                    **asdict(self.metrics[model]),
                    "intervals": asdict(self.intervals[model]),
                    "missing": self.missing[model],
                    "unlabelled": self.unlabelled[model],
                    "better_than": self.beaten(model),
                }
                for model in self.models
            },
            "pairwise": [{**asdict(pair), "better": pair.better} for pair in self.pairwise],
        }


def compare(
    files: Sequence[Path],
    source: LabelSource,
    score_columns: Sequence[str] = (),
    names: Sequence[str] = (),
    predicted_video_column: str | None = None,
) -> Comparison:
    """Join each file's predictions with the labels and judge what all have.

    `score_columns`: one for all files, or one for each; where there is none, `score`, or the file's only
    column of numbers. `names` replace those from the files (`model_names`). Without a label file, the opinion
    scores stand beside the predictions of one file at least. Raises PredictionFileError, NothingToCompare,
    and what read_labels and resolve raise.
    """
    by_row = source.by_row or source.file is None
    tables = [PredictionTable.read(p, predicted_video_column, source.beside, by_row) for p in files]
    columns = _columns(tables, score_columns)
    predicted = [table.predictions(column) for table, column in zip(tables, columns, strict=True)]
    models = list(names) or model_names(files, columns)
    if len(models) != len(files) or len({*models}) != len(models):
        raise PredictionFileError(
            f"{len({*models})} different names ({', '.join(models)}) for {len(files)} files of predictions:"
            " expected one for each (--name)"
        )
    labels = _labels(files, predicted, source)
    joined = {model: join_predictions(rows, labels) for model, rows in zip(models, predicted, strict=True)}
    return compare_joined(joined, labels)


def compare_joined(joined: Mapping[str, JoinedPredictions], labels: Sequence[Label]) -> Comparison:
    """The comparison of predictions that were joined with the same labels, by model.

    Raises NothingToCompare where no video has a score of every model.
    """
    by_model = {
        model: {label.video: row.score for label, row in each.pairs if row.score is not None}
        for model, each in joined.items()
    }
    common = _common(labels, by_model)
    mos, groups = [label.mos for label in common], groups_of(common)
    found = {model: [scores[label.video] for label in common] for model, scores in by_model.items()}
    metrics = {model: score_metrics(mos, each, half_intervals(common)) for model, each in found.items()}
    models = sorted(metrics, key=lambda model: _place(metrics[model]))
    scores = {model: found[model] for model in models}
    return Comparison(
        models=models,
        videos=[label.video for label in common],
        mos=mos,
        groups=groups,
        scores=scores,
        metrics={model: metrics[model] for model in models},
        intervals={model: bootstrap_intervals(mos, each, groups) for model, each in scores.items()},
        pairwise=compare_pairs(mos, scores, groups),
        labelled=len(labels),
        missing={model: joined[model].missing for model in models},
        unlabelled={model: joined[model].unlabelled for model in models},
    )


def model_names(files: Sequence[Path], columns: Sequence[str]) -> list[str]:
    """A name for each file: its own without ending, with as many folders before it as it takes to differ.

    Where one file is named twice, its columns differ.
    """
    paths = [file.with_suffix("").parts for file in files]
    for depth in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-depth:]) for parts in paths]
        if len({*names}) == len({*paths}):
            break
    often = Counter(names)
    return [
        name if often[name] == 1 else f"{name} ({column})"
        for name, column in zip(names, columns, strict=True)
    ]


def _common(labels: Sequence[Label], by_model: Mapping[str, Mapping[str, float]]) -> list[Label]:
    common = [label for label in labels if all(label.video in scores for scores in by_model.values())]
    if not common:
        counts = ", ".join(f"{model} {len(scores)}" for model, scores in by_model.items())
        raise NothingToCompare(f"no video has a score of every model; labelled videos with one: {counts}")
    return common


def _place(metrics: Metrics) -> float:
    return 2.0 if metrics.srcc is None else -metrics.srcc


def _columns(tables: Sequence[PredictionTable], asked: Sequence[str]) -> list[str]:
    if len(asked) not in (0, 1, len(tables)):
        raise PredictionFileError(
            f"{len(asked)} columns of scores for {len(tables)} files of predictions: expected one for all, or"
            " one for each (--score-column)"
        )
    if asked:
        return list(asked) if len(asked) == len(tables) else [asked[0]] * len(tables)
    return [_only_column(table) for table in tables]


def _only_column(table: PredictionTable) -> str:
    header, numbers = table.table.header, table.columns()
    if not header or table.table.find(None, ("score",)) is not None or len(numbers) != 1:
        return "score"
    return numbers[0]


def _labels(
    files: Sequence[Path], predicted: Sequence[Sequence[PredictedVideo]], source: LabelSource
) -> list[Label]:
    """From the label file, or beside the first predictions that have opinion scores; others must agree."""
    if source.file is not None:
        return source.labels(files[0], predicted[0])
    having = [i for i, rows in enumerate(predicted) if any(row.mos is not None for row in rows)]
    first = having[0] if having else 0
    labels = source.labels(files[first], predicted[first])
    mos = {label.video: label.mos for label in labels}
    for i in having:
        other = [row.video for row in predicted[i] if _differs(row.mos, mos.get(row.video))]
        if other:
            raise PredictionFileError(
                f"{files[first]} and {files[i]} have different opinion scores of {len(other)} videos:"
                f" {some(other, 5)}; name those that hold with --labels"
            )
    return labels


def _differs(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) > 1e-6 * max(abs(one), abs(other), 1)
