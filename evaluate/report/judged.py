"""The page of `metrics`: any model's predictions against opinion scores, a chart for each column."""

from collections.abc import Sequence

import numpy as np

from evaluate.metrics.scores import correlated
from evaluate.report.agreement import judgement_notes, judgement_table
from evaluate.report.charts import error_histogram, reliability
from evaluate.report.clouds import cloud, shared_rows
from evaluate.report.material import NamedTable, Section, StudyPage
from evaluate.report.tables import Table
from evaluate.results.agreement import Judgement
from store.labels.files import MosScale

_LARGEST = 10


def judgement_page(found: Sequence[Judgement], title: str) -> StudyPage:
    """All that the table says, with charts whose marks name their videos."""
    keys = {each.column: (f"m{i}", f"y{i}") for i, each in enumerate(found)}
    columns = {}
    for each in found:
        key, mos_key = keys[each.column]
        columns[key] = {video: score for video, (_, score) in each.videos.items()}
        columns[mos_key] = {video: mos for video, (mos, _) in each.videos.items()}
    rows, note = shared_rows(columns)
    clouds = [
        cloud(
            keys[each.column][0],
            each.column if each.against == each.column else f"{each.column} against {each.against}",
            [score for _, score in each.videos.values()],
            [mos for mos, _ in each.videos.values()],
            keys[each.column][1],
        )
        for each in found
    ]
    sections = [
        Section("Agreement with the opinion scores", tables=[NamedTable("Columns", judgement_table(found))]),
        Section("Scores", clouds, note=note),
    ]
    sections += _closer(found[0]) if len(found) == 1 else []
    told = {
        key: name
        for each in found
        for key, name in zip(keys[each.column], (each.column, f"MOS ({each.against})"), strict=True)
    }
    return StudyPage(
        kind="Predictions against opinion scores",
        title=title,
        facts={"Columns": str(len(found)), "Videos": f"{found[0].n} of {found[0].labelled}"},
        sections=sections,
        remarks=judgement_notes(found),
        videos=rows,
        told=told,
    )


def _closer(found: Judgement) -> list[Section]:
    """Errors of a single column, after the map that PLCC is taken after; none where figures are undefined."""
    videos = list(found.videos)
    mos = np.array([mos for mos, _ in found.videos.values()], dtype=np.float64)
    mapped = correlated(mos, [score for _, score in found.videos.values()])
    if mapped is None:
        return []
    errors = mapped - mos
    largest = sorted(range(len(videos)), key=lambda i: (-abs(float(errors[i])), videos[i]))[:_LARGEST]
    headers = ("Video", "MOS", "Mapped score", "Error")
    rows = tuple(
        (videos[i], *(f"{each[i]:.4g}" for each in (mos, mapped)), f"{errors[i]:+.4g}") for i in largest
    )
    figures = [error_histogram(errors.tolist(), MosScale(float(mos.min()), float(mos.max())), mapped=True)]
    figures += [] if found.calibration is None else [reliability(found.calibration)]
    table = NamedTable(
        "The largest, of scores mapped onto the MOS", Table(headers, rows, frozenset(headers[1:]))
    )
    return [Section("Errors", figures, [table])]
