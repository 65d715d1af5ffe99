"""Put an evaluation before a person: predictions, metrics, tables beside published figures, report."""

from dataclasses import dataclass
from pathlib import Path

from evaluate.metrics.scores import LevelAccuracy, Metrics
from evaluate.metrics.spread import spread_line
from evaluate.report.formats import Format
from evaluate.report.material import Report
from evaluate.report.ours import settings_notes
from evaluate.report.page import write_report
from evaluate.report.published import Protocol, published
from evaluate.report.tables import ResultRow, Table, comparison
from evaluate.results.run import Evaluation, evaluation_folder, write_evaluation
from store.durable.commit import write_file
from train.pretrained import TrainedModel
from train.saving.folder import writing

_REPEATED: tuple[Protocol, ...] = ("fine-tuning", "random-splits")
_TABLE_FILES: dict[str, Format] = {"table.md": "markdown", "table.csv": "csv", "table.tex": "latex"}


@dataclass(frozen=True)
class Published:
    """Where everything was written, and what to print."""

    folder: Path
    lines: list[str]


def publish(trained: TrainedModel, evaluation: Evaluation) -> Published:
    """Write predictions.csv, metrics.json, table.md/.csv/.tex and report.html into the run's folder.

    Raises RunError where the disk refuses.
    """
    folder = evaluation_folder(trained, evaluation.dataset, evaluation.part)
    table = beside_published(trained, evaluation)
    with writing(folder):
        write_evaluation(folder, evaluation)
        for name, form in _TABLE_FILES.items():
            write_file(folder / name, table.render(form).encode())
        write_report(folder / "report.html", report(trained, evaluation, table))
    return Published(folder, _lines(folder, evaluation, table))


def beside_published(trained: TrainedModel, evaluation: Evaluation) -> Table:
    """Our `expected` and `generate` rows, then what others published on the same test set."""
    own = trained.settings.trains_on(evaluation.dataset)
    note = "; ".join(notes(trained, evaluation))
    ours = [
        ResultRow.of(
            f"{trained.settings.pipeline.name}, {mode}",
            evaluation.dataset,
            evaluation.part,
            "in-sample" if own else "ood",
            metrics,
            note if mode == "expected" else f"{evaluation.parse_failures} parse failures",
        )
        for mode, metrics in (("expected", evaluation.expected), ("generate", evaluation.generate))
    ]
    others = published(evaluation.dataset, "in-sample" if own else "ood", evaluation.part)
    if own and not others:
        # The smaller datasets have no test set of their own: others train and test on folds or random splits
        others = [r for kind in _REPEATED for r in published(evaluation.dataset, kind)]
    return comparison(ours, others)


def notes(trained: TrainedModel, evaluation: Evaluation) -> list[str]:
    """What a reader must know before the figures."""
    return [*evaluation.remarks, *settings_notes(trained.settings)]


def report(trained: TrainedModel, evaluation: Evaluation, table: Table) -> Report:
    """The report's material."""
    run, settings = trained.run, trained.settings
    return Report(
        title=str(trained.folder),
        dataset=evaluation.dataset,
        split=evaluation.part,
        rows=evaluation.rows,
        expected=evaluation.expected,
        generate=evaluation.generate,
        intervals={
            "expected_srcc": evaluation.expected_intervals.srcc,
            "expected_plcc": evaluation.expected_intervals.plcc,
            "generate_srcc": evaluation.generate_intervals.srcc,
            "generate_plcc": evaluation.generate_intervals.plcc,
        },
        parse_failures=evaluation.parse_failures,
        level_accuracy={**evaluation.levels.classes, "total": evaluation.levels.total},
        confusion=evaluation.levels.confusion,
        comparison=table,
        notes=notes(trained, evaluation),
        provenance={
            "checkpoint": trained.checkpoint.name,
            "seed": settings.pipeline.training.seed,
            "feature keys": run.feature_keys,
            "split sizes": {
                dataset: {name: part.videos for name, part in split.items()}
                for dataset, split in run.split.items()
            },
            "levels (0–100)": {
                task: {dataset: str(levels) for dataset, levels in each.items()}
                for task, each in run.levels.items()
            },
            "versions": run.versions,
            "settings": settings.model_dump(mode="json"),
        },
        scale=evaluation.scale,
        facts=evaluation.facts,
        files=evaluation.files,
        missing=evaluation.missing,
    )


def _lines(folder: Path, evaluation: Evaluation, table: Table) -> list[str]:
    levels = evaluation.levels
    shares = [f"{name} {share:.3f}" for name, share in levels.classes.items() if share is not None]
    total = "" if levels.total is None else f"{levels.total:.3f} ({', '.join(shares)})"
    written = evaluation.levels_generate.total
    total += "" if written is None else f"; of the written answers {written:.3f}"
    missing = f"\n{len(evaluation.missing)} labelled videos have no features" if evaluation.missing else ""
    return [
        table.render("plain").rstrip(),
        "",
        *([f"level accuracy {total}"] if levels.classes else []),
        *(f"{name}: {_task_line(figures)}" for name, figures in evaluation.tasks.items()),
        f"{evaluation.parse_failures} parse failures of {len(evaluation.rows)} written answers{missing}",
        *([] if evaluation.spread is None else [spread_line(evaluation.spread)]),
        *evaluation.remarks,
        f"report: {folder / 'report.html'}",
    ]


def _task_line(figures: Metrics | LevelAccuracy) -> str:
    if isinstance(figures, LevelAccuracy):
        shares = [f"{name} {share:.3f}" for name, share in figures.classes.items() if share is not None]
        total = "–" if figures.total is None else f"{figures.total:.3f} ({', '.join(shares)})"
        return f"accuracy {total}; {figures.n} videos"
    if figures.srcc is None:
        return f"{figures.note}; {figures.n} videos"
    return f"SRCC {figures.srcc:.3f}, PLCC {figures.plcc:.3f}; {figures.n} videos"
