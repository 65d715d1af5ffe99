"""Pages of several methods: comparisons, any model's predictions, ablations, protocols."""

import re
from pathlib import Path

import altair
import numpy as np
import pytest
from report_pages import Page, ablation_row, data_of, predictions_of_two, study_of_tokens

from evaluate.metrics.scores import score_metrics
from evaluate.protocols.ablation import Study
from evaluate.protocols.outcome import ProtocolResult, SplitResult, outcome_of
from evaluate.protocols.pages import ablation_page, protocol_page
from evaluate.report.clouds import shared_rows
from evaluate.report.compared import comparison_page
from evaluate.report.judged import judgement_page
from evaluate.report.study import render_study, write_study
from evaluate.results.agreement import LabelSource, judge_columns
from evaluate.results.comparison import Comparison, compare
from train.errors import RunError


@pytest.fixture(scope="module")
def predictions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return predictions_of_two(tmp_path_factory.mktemp("predictions"))


@pytest.fixture(scope="module")
def comparison(predictions: dict[str, Path]) -> Comparison:
    return compare([*predictions.values()], LabelSource(), names=[*predictions])


def checked(html: str) -> Page:
    """A page that is whole, fetches nothing, and whose charts are valid."""
    page, data = Page(html), data_of(html)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    assert all(address.startswith("#") for address in page.addresses)
    assert sorted(re.findall(r'data-chart="([^"]*)"', html)) == sorted(data["charts"])
    for chart in data["charts"].values():
        altair.LayerChart.from_dict(chart)
        assert chart["description"]
    assert len(html.encode()) < 2_000_000
    return page


def test_a_comparison_shows_models_pairs_and_the_videos_on_which_they_differ(comparison: Comparison) -> None:
    html = render_study(comparison_page(comparison, "good · bad"))
    page = checked(html)
    assert "good is significantly better than bad <i>" in page.text and "<i>" not in html
    srcc = comparison.metrics["good"].srcc
    assert srcc is not None and f"{srcc:.4f}" in page.text
    data = data_of(html)
    assert data["told"] == {"mos": "MOS", "m0": "good", "m1": "bad <i>"}
    first = data["videos"][0]
    assert first["video"] == "v&0" and first["m0"] == pytest.approx(comparison.scores["good"][0])
    differing = html[html.index("Where the two best differ most") :]
    assert len(re.findall(r'<th scope="row">v&amp;', differing)) == 10


def test_the_same_comparison_gives_the_same_bytes(comparison: Comparison, tmp_path: Path) -> None:
    page = comparison_page(comparison, "a")
    write_study(tmp_path / "new" / "page.html", page)
    assert (tmp_path / "new" / "page.html").read_text() == render_study(comparison_page(comparison, "a"))


def test_a_page_that_cannot_be_written_is_one_plain_error(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file.* cannot be written"):
        write_study(tmp_path / "file" / "page.html", comparison_page(comparison, "a"))


def test_scores_of_any_size_keep_their_digits() -> None:
    rows, note = shared_rows({"m0": {"a": 1.23456789e-7, "b": 123456.789}})
    assert [row["m0"] for row in rows] == [1.23457e-7, 123457.0] and note == ""


def test_predictions_of_any_model_have_a_page_with_errors_and_calibration(
    predictions: dict[str, Path],
) -> None:
    found = judge_columns(predictions["good"], LabelSource())
    page = checked(render_study(judgement_page(found, "good.csv")))
    assert {"scores-m0", "errors", "reliability"} <= set(page.ids)
    assert "80 of 80" in page.text


@pytest.mark.slow
def test_sixteen_dimensions_have_a_chart_each(shared_data: Path) -> None:
    labels = LabelSource(shared_data / "labels" / "MaxWell" / "MaxWell_val.csv", by_row=True)
    found = judge_columns(shared_data / "predictions" / "maxvqa_val-maxwell.csv", labels, ("all",))
    html = render_study(judgement_page(found, "MaxVQA"))
    checked(html)
    assert len(data_of(html)["charts"]) == 16 and len(data_of(html)["videos"]) == 909


def test_constant_scores_have_a_page_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "constant.csv"
    file.write_text("video,mos,score\na,1,3\nb,2,3\nc,4,3\n")
    page = checked(render_study(judgement_page(judge_columns(file, LabelSource()), "constant")))
    assert "constant" in page.text and "Errors" not in page.text


@pytest.fixture(scope="module")
def study(root: Path) -> Study:
    return study_of_tokens(root)


def test_an_ablation_is_drawn_against_what_its_cells_differ_in(study: Study) -> None:
    rows = [
        ablation_row("4 tokens", 4, 0.75),
        ablation_row("16 tokens", 16, 0.76),
        ablation_row("64 tokens", 64, 0.755),
    ]
    html = render_study(ablation_page(study, rows))
    page = checked(html)
    assert list(data_of(html)["charts"]) == ["curve-0"]
    assert "Visual tokens of a video" in page.text and "Training videos" not in data_of(html)["charts"]
    assert "0.760 ± 0.010" in page.text and "Mean ± standard deviation over trials" in page.text


def test_a_protocol_shows_each_test_set_and_each_trial(study: Study) -> None:
    mos = np.linspace(0, 100, 30)
    figures = {
        name: vars(score_metrics(mos, mos + np.random.default_rng(seed).normal(0, 20, 30)))
        for seed, name in enumerate(("opinions, expected", "svr"))
    }
    shares = {"opinions, expected": {"total": 0.5, "low": 0.25}}
    splits = [
        SplitResult(f"split-{n}", 100, 30, 0, {}, figures, {"KoNViD-1k": figures}, {"KoNViD-1k": shares}, {})
        for n in range(3)
    ]
    result: ProtocolResult = outcome_of(study.protocol, study.runs[0].datasets, splits)
    html = render_study(protocol_page(result))
    page = checked(html)
    chart = data_of(html)["charts"]["test-0-trials"]
    assert len(chart["data"]["values"]) == 6
    assert {"KoNViD-1k", "svr", "0.250"} <= set(page.texts)
