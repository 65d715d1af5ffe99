"""The report: one page that is complete, self-contained, escaped and the same every time."""

import json
import re
from dataclasses import replace
from pathlib import Path

import altair
import pytest
from report_pages import THREE, Page, data_of, invented, report_of

from evaluate.metrics.scores import Metrics
from evaluate.report.material import Report
from evaluate.report.page import render_report, write_report
from evaluate.results.predictions import PredictedVideo, read_predictions
from store.labels.files import MosScale
from store.labels.merging import read_labels
from store.labels.resolve import resolve
from train.answers.levels import Levels


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
