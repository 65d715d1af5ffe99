"""Reports and studies of invented scores, and what tests read of a page."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from config.load import load_settings
from config.schema import WordsForm
from evaluate.metrics.scores import bootstrap_intervals, level_accuracy, score_metrics
from evaluate.protocols.ablation import AblationRow, Study
from evaluate.report.material import Report
from evaluate.report.published import published
from evaluate.report.tables import ResultRow, comparison
from evaluate.results.predictions import PredictedVideo
from store.labels.files import MosScale
from train.answers.levels import Levels

VOID = {"meta", "br", "link", "img", "input", "hr"}

THREE = WordsForm(kind="words", words=dict.fromkeys(("poor", "fair", "good")))


class Page(HTMLParser):
    """Checks that elements close in order; gathers ids, references and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.addresses += [v for name, v in attrs if name in ("src", "href", "xlink:href") and v]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> inside {self.open}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open[-1:]):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def invented(n: int = 60) -> Report:
    """A report of invented scores, with one hostile answer and one parse failure."""
    random = np.random.default_rng(0)
    mos = random.uniform(5, 95, n)
    scores = np.clip(mos + random.normal(0, 8, n), 0, 100)
    scores[3] = 99.0 if mos[3] < 50 else 1.0
    cuts = Levels.fit(THREE, mos.tolist())
    rows = [
        PredictedVideo(
            f"clip-{i}",
            float(mos[i]),
            float(scores[i]),
            5.0,
            None if i == 3 else float(round(scores[i])),
            cuts.level(mos[i]),
            None if i == 3 else cuts.level(scores[i]),
            "<script>alert('x')</script>" if i == 3 else f"The quality score is {scores[i]:.0f}",
        )
        for i in range(n)
    ]
    return report_of(rows, MosScale(0, 100))


def report_of(rows: list[PredictedVideo], scale: MosScale) -> Report:
    mos, scores = [row.mos for row in rows], [row.score for row in rows]
    stated = [(row.mos, row.score_generate) for row in rows if row.score_generate is not None]
    expected, generate = score_metrics(mos, scores), score_metrics(*np.array(stated).reshape(-1, 2).T)
    intervals = bootstrap_intervals(mos, scores, resamples=50)
    levels = level_accuracy([row.level for row in rows], [row.level_pred for row in rows], [*THREE.words])
    ours = ResultRow.of("tiny, expected", "KoNViD-1k", "all", "ood", expected, "random weights")
    return Report(
        title="runs/a & b",
        dataset="KoNViD-1k",
        split="test",
        rows=rows,
        expected=expected,
        generate=generate,
        intervals={"expected_srcc": intervals.srcc, "expected_plcc": intervals.plcc},
        parse_failures=len(rows) - len(stated),
        level_accuracy={**levels.classes, "total": levels.total},
        confusion=levels.confusion,
        comparison=comparison([ours], published("KoNViD-1k", "ood")),
        notes=["random weights: <spatial>"],
        provenance={"seed": 0, "settings": {"decoder": "<tiny>"}, "versions": {"torch": "2"}},
        scale=scale,
    )


def predictions_of_two(folder: Path) -> dict[str, Path]:
    """CSVs of two models of 80 videos, the first better by far, and a third column of standard deviations."""
    random = np.random.default_rng(0)
    mos = random.uniform(1, 5, 80)
    files = {}
    for name, noise in (("good", 0.3), ("bad <i>", 2.0)):
        rows = [
            f"v&{i},{m:.4f},{20 * m + 20 * e:.4f},{20 * noise:.1f}"
            for i, (m, e) in enumerate(zip(mos, random.normal(0, noise, 80), strict=True))
        ]
        files[name] = folder / f"{name[:3]}.csv"
        files[name].write_text("\n".join(["video,mos,score,std", *rows]))
    return files


def ablation_row(cell: str, tokens: float, srcc: float, trials: int = 5) -> AblationRow:
    return AblationRow(
        cell, "expected", "KoNViD-1k", trials, srcc, 0.01, None, None, srcc, 0.01, tokens, 10, 0.1, 100.0
    )


def study_of_tokens(root: Path) -> Study:
    """Of the repository's own settings, without labels."""
    settings = load_settings(root / "pipelines.toml", [])
    ablation = settings.ablations["science-tokens"]
    datasets = [settings.datasets["KoNViD-1k"]]
    runs = [settings.run(cell, *datasets) for cell in ablation.cells.values()]
    return Study(ablation, settings.protocols["science"], runs, [])


def data_of(html: str) -> dict[str, Any]:
    """What the page's scripts read."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, flags=re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data
