"""Tables of judged predictions: one model's columns, several models, and the pairs of them."""

from collections.abc import Sequence

from config.errors import count
from evaluate.metrics.calibration import Calibration
from evaluate.metrics.resampling import RESAMPLES, Interval
from evaluate.metrics.scores import Intervals, Metrics
from evaluate.metrics.significance import Difference, Pair
from evaluate.report.tables import Cell, Table
from evaluate.results.agreement import Judgement
from evaluate.results.comparison import Comparison
from store.labels.errors import some

_FIGURES = ("SRCC", "PLCC", "PLCC raw", "KRCC", "RMSE", "R²", "Outliers")


def judgement_table(judgements: Sequence[Judgement]) -> Table:
    """A row for each column of scores: figures, intervals, how many of the labelled videos are covered."""
    rows = [
        (each.column, each.against, *_figures(each.metrics, each.intervals), f"{each.n} of {each.labelled}")
        for each in judgements
    ]
    return _without_empty(("Scores", "Against", *_FIGURES, "Videos"), rows)


def judgement_notes(judgements: Sequence[Judgement]) -> list[str]:
    """What a reader must know beside the figures: coverage, undefined figures, calibration."""
    notes = [f"{each.column}: {each.metrics.note}" for each in judgements if each.metrics.note]
    coverage = {
        f"{count(len(names), what)} without {lacking}: {some(names, 5)}": None
        for each in judgements
        for names, what, lacking in (
            (each.missing, "labelled video", "a score"),
            (each.unlabelled, "predicted video", "a label"),
        )
        if names
    }
    groups = next((each.groups for each in judgements if each.groups is not None), None)
    notes += [*coverage, _resampled(groups)]
    return notes + [
        f"{each.column}: {_calibration(each.calibration)}" for each in judgements if each.calibration
    ]


def comparison_table(comparison: Comparison) -> Table:
    """A row for each model, best first, with the models that it is significantly better than."""
    numbers = {model: str(i) for i, model in enumerate(comparison.models, start=1)}
    rows = [
        (
            numbers[model],
            model,
            *_figures(comparison.metrics[model], comparison.intervals[model]),
            ", ".join(numbers[other] for other in comparison.beaten(model)) or None,
            f"{comparison.labelled - len(comparison.missing[model])} of {comparison.labelled}",
        )
        for model in comparison.models
    ]
    return _without_empty(("#", "Model", *_FIGURES, "Better than", "Own videos"), rows)


def pairs_table(comparison: Comparison) -> Table:
    """A row for each two models: difference of SRCC, its interval, Williams' test, and the better one."""
    headers = ("First", "Second", "SRCC difference", "t", "p", "p adjusted", "Significantly better")
    rows = [
        (pair.first, pair.second, *_difference(pair.srcc), _p(pair.p_adjusted), pair.better or "neither")
        for pair in comparison.pairwise
    ]
    return Table(headers, tuple(rows), frozenset(headers[2:6]))


def comparison_notes(comparison: Comparison) -> list[str]:
    """What a reader must know beside the figures: common videos, who lacks which, what is significant."""
    groups = None if comparison.groups is None else len({*comparison.groups})
    notes = [
        f"{len(comparison.videos):,} of {count(comparison.labelled, 'labelled video')} have a score of every"
        " model; all figures are of these"
    ]
    for model in comparison.models:
        missing, unlabelled = comparison.missing[model], comparison.unlabelled[model]
        if missing:
            notes.append(f"{model} lacks {len(missing)} of the labelled videos: {some(missing, 5)}")
        if unlabelled:
            notes.append(
                f"{model} has {count(len(unlabelled), 'video')} without label: {some(unlabelled, 5)}"
            )
        if note := comparison.metrics[model].note:
            notes.append(f"{model}: {note}")
    return [
        *notes,
        _resampled(groups),
        "significantly better: Williams' test of SRCC, p adjusted for the number of pairs (Holm) below 0.05,"
        " and a paired bootstrap interval of the difference without 0",
        *map(_sentence, comparison.pairwise),
    ]


def _sentence(pair: Pair) -> str:
    if pair.better is None:
        return f"{pair.first} and {pair.second}: no significant difference"
    other = pair.second if pair.better == pair.first else pair.first
    return f"{pair.better} is significantly better than {other}"


def _figures(metrics: Metrics, intervals: Intervals) -> tuple[Cell, ...]:
    return (
        _with_interval(metrics.srcc, intervals.srcc),
        _with_interval(metrics.plcc, intervals.plcc),
        _four(metrics.plcc_raw),
        _with_interval(metrics.krcc, intervals.krcc),
        _with_interval(metrics.rmse, intervals.rmse),
        _four(metrics.r2),
        None if metrics.outlier_ratio is None else f"{metrics.outlier_ratio:.1%}",
    )


def _difference(difference: Difference) -> tuple[Cell, Cell, Cell]:
    test = difference.williams
    shown = _with_interval(difference.value, difference.interval)
    return (shown, None, None) if test is None else (shown, f"{test.t:.2f}", _p(test.p))


def _four(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


def _p(value: float | None) -> str | None:
    return None if value is None else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _with_interval(value: float | None, interval: Interval | None) -> str | None:
    span = f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
    return None if value is None else f"{value:.4f}{span}"


def _without_empty(headers: tuple[str, ...], rows: Sequence[tuple[Cell, ...]]) -> Table:
    """Without the columns of outliers and of models beaten, where no row has any."""
    optional = {"Outliers", "Better than"}
    kept = [i for i, name in enumerate(headers) if name not in optional or any(row[i] for row in rows)]
    names = tuple(headers[i] for i in kept)
    numeric = frozenset({*_FIGURES, "Videos", "Own videos", "#"} & {*names})
    return Table(names, tuple(tuple(row[i] for i in kept) for row in rows), numeric)


def _resampled(groups: int | None) -> str:
    what = "videos" if groups is None else f"the {count(groups, 'content group')}"
    return f"[…]: 95 % intervals over {RESAMPLES:,} resamples of {what}"


def _calibration(found: Calibration) -> str:
    shares = ", ".join(f"{share:.1%} in {name} % intervals" for name, share in found.coverage.items())
    return (
        f"opinion scores within the standard deviations' intervals: {shares} ({found.videos} videos; mean"
        f" error {found.error:.3f})"
    )
