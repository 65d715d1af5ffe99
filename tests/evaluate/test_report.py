"""The report: one page that is complete, self-contained, escaped and the same every time."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import altair
import numpy as np
import pytest

from config.schema import WordsForm
from evaluate.metrics.scores import Metrics, bootstrap_intervals, level_accuracy, score_metrics
from evaluate.report.page import Report, render_report, write_report
from evaluate.report.published import published
from evaluate.report.tables import ResultRow, comparison
from evaluate.results.predictions import PredictedVideo, read_predictions
from store.labels.files import MosScale
from store.labels.merging import read_labels
from store.labels.resolve import resolve
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


def data_of(html: str) -> dict[str, Any]:
    """What the page's scripts read."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, flags=re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.fixture(scope="module")
def report() -> Report:
    return invented()


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return render_report(report)


def test_page_is_well_formed_and_has_every_section(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert {"agreement", "plots", "levels", "worst", "comparison", "provenance"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    charts = re.findall(r'data-chart="([^"]*)"', html)
    assert sorted(charts) == sorted(data_of(html)["charts"])
    assert {"scatter", "errors", "confusion", "reliability", "residual-mos"} == set(charts)
    assert html.startswith("<!doctype html>")


def test_page_fetches_nothing(html: str) -> None:
    page = Page(html)
    assert all(address.startswith("#") for address in page.addresses)
    assert {address[1:] for address in page.addresses} <= set(page.ids)
    assert not re.search(r"@import|url\((?!#)", html[: html.index("<script")])
    assert not {"link", "img"} & set(page.tags)
    assert "default-src 'none'; img-src data:;" in html
    assert len(html.encode()) < 2_000_000


def test_page_shows_the_figures_with_their_intervals(html: str, report: Report) -> None:
    text = Page(html).text
    assert report.expected.srcc is not None and f"{report.expected.srcc:.3f}" in text
    assert report.generate.rmse is not None and f"{report.generate.rmse:.2f}" in text
    interval = report.intervals["expected_srcc"]
    assert interval is not None and f"{interval[0]:.3f} – {interval[1]:.3f}" in text
    assert "1 of 60 answers state no score" in text
    assert "RAPIQUE" not in text and "Q-Align (published)" in text


def test_what_a_model_wrote_and_a_person_named_is_escaped(html: str) -> None:
    assert "<script>alert" not in html and "&lt;script&gt;" in html
    assert any("<script>alert" in video["text"] for video in data_of(html)["videos"])
    assert "runs/a &amp; b" in html and "&lt;spatial&gt;" in html and "&lt;tiny&gt;" in html


def test_worst_videos_are_listed_from_the_largest_error(html: str, report: Report) -> None:
    worst = html[html.index('<section id="worst"') : html.index('<section id="comparison"')]
    listed = re.findall(r"<h3>(.*?)</h3>", worst)
    errors = {row.video: abs((row.score or 0) - (row.mos or 0)) for row in report.rows}
    assert listed == sorted(errors, key=lambda video: -errors[video])[:10]
    assert listed[0] == "clip-3"


def test_the_same_report_gives_the_same_bytes(report: Report, html: str, tmp_path: Path) -> None:
    write_report(tmp_path / "new" / "report.html", report)
    assert (tmp_path / "new" / "report.html").read_bytes() == html.encode()


def test_plots_follow_the_theme(html: str) -> None:
    plots = json.dumps(data_of(html)["charts"])
    used = set(re.findall(r"var\((--[a-z]+)\)", plots))
    assert {"--ink", "--accent", "--poor", "--fair", "--good"} <= used
    assert not re.search(r"#[0-9a-f]{6}\b", plots)
    assert all(f"{variable}:" in html for variable in used)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_videos_give_a_page_with_dashes_and_the_reason(report: Report, n: int) -> None:
    undefined = Metrics(n, note="a correlation needs at least two videos")
    page = Page(
        render_report(
            replace(
                report,
                rows=report.rows[:n],
                expected=undefined,
                generate=undefined,
                intervals={},
                level_accuracy={"poor": None, "total": None},
                confusion={},
                notes=[],
                provenance={},
            )
        )
    )
    assert page.open == [] and "a correlation needs at least two videos" in page.text and "–" in page.text


def test_rows_without_score_or_mos_are_counted_not_plotted(report: Report) -> None:
    rows = [*report.rows, PredictedVideo("unscored", mos=50.0), PredictedVideo("unlabelled", score=50.0)]
    assert "2 without a score or MOS are not shown" in Page(render_report(replace(report, rows=rows))).text


def test_levels_of_any_words_are_plotted_and_absent_ones_as_unknown(report: Report) -> None:
    words = ("excellent", "acceptable", None)
    rows = [replace(row, level=words[n % 3]) for n, row in enumerate(report.rows)]
    marks = json.dumps(data_of(render_report(replace(report, rows=rows)))["charts"]["scatter"])
    assert all(word in marks for word in ("excellent", "acceptable", "level unknown"))


def test_real_predictions_are_reported_on_the_datasets_own_scale(shared_data: Path) -> None:
    labels = read_labels(shared_data / "labels" / "KoNViD-1k" / "labels.txt")
    dover = read_predictions(shared_data / "predictions" / "dover_technical_konvid1k.csv")
    scores = {row.video: row.score for row in dover}
    found = resolve([label.video for label in labels], scores).found
    cuts = Levels.fit(THREE, [label.mos for label in labels])
    rows = [
        PredictedVideo(label.video, label.mos, scores[found[label.video]], level=cuts.level(label.mos))
        for label in labels
    ]
    page = Page(render_report(report_of(rows, MosScale(1, 5))))
    assert (
        page.open == []
        and "0.861" in page.text
        and "on the scale 1 to 5 , worst to best, mapped" in page.text
    )
    assert "1200 of 1200 answers state no score" in page.text


def test_a_scale_where_lower_is_better_is_said_and_plotted_as_it_is(report: Report) -> None:
    page = Page(render_report(replace(report, scale=MosScale(100, 0))))
    assert page.open == [] and "on the scale 100 to 0 , worst to best" in page.text
    known = Page(render_report(report)).text
    assert page.text.replace("scale 100 to 0", "scale 0 to 100") == known


def test_charts_are_valid_vega_lite_and_described(html: str) -> None:
    for chart in data_of(html)["charts"].values():
        altair.LayerChart.from_dict(chart)
        assert chart["description"]


def test_thousands_of_videos_with_long_answers_stay_below_2_mb(report: Report) -> None:
    rows = [replace(report.rows[n % 60], video=f"clip-{n}", text="worse " * 80) for n in range(9000)]
    html = render_report(replace(report, rows=rows))
    assert len(html.encode()) < 2_000_000
    assert 300 < len(data_of(html)["videos"]) < 9000 and "of the 9000 videos" in html


def test_worst_videos_show_key_frames_of_their_files(report: Report, shared_data: Path) -> None:
    file = shared_data / "videos" / "carphone_distorted.mp4"
    html = render_report(replace(report, files={"clip-3": file}))
    assert html.count("data:image/jpeg;base64,") == 1 and 'alt="Key frames of clip-3"' in html
    assert "9 without key frames" in html
