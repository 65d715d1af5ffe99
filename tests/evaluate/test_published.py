"""Published figures: what the LMM-VQA paper's tables and others' say, each with its source."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from evaluate.report.published import (
    PublishedResult,
    ablation,
    published,
    published_benchmarks,
    published_level_accuracies,
    published_results,
)

PAPER = "arXiv 2408.14008"

DATASETS = ("KoNViD-1k", "YouTube-UGC", "LIVE-VQC", "LIVE-YT-Gaming")


def figures(results: list[PublishedResult]) -> dict[str, tuple[float, float | None]]:
    return {result.method: (result.srcc, result.plcc) for result in results}


def of_paper(dataset: str, protocol: Any, test: str | None = None) -> list[PublishedResult]:
    return [result for result in published(dataset, protocol, test) if result.source.startswith(PAPER)]


def printed_rows(text: str) -> dict[str, list[list[float]]]:
    """Every row of figures of the paper's text: method → its figures, row by row."""
    rows = defaultdict(list)
    for line in text.splitlines():
        if numbers := re.findall(r"(?<=\| )\d\.\d+(?= \|)", line):
            name = line.split(" |")[0].replace("\\hdashline", "")
            rows[re.sub(r" \[\d+\].*", "", name)].append([float(number) for number in numbers])
    return rows


def test_in_sample_results_are_those_of_table_iii() -> None:
    rows = of_paper("LSVQ", "in-sample", "test")
    assert len(rows) == 12
    assert figures(rows)["LMM-VQA (w/multi-task)"] == (0.916, 0.919)
    assert figures(of_paper("LSVQ", "in-sample", "test-1080p"))["DOVER"] == (0.795, 0.830)
    assert len(of_paper("LSVQ", "in-sample")) == 24
    assert {row.source for row in rows} == {"arXiv 2408.14008, Table III"}
    assert {row.trained_on for row in rows} == {"LSVQ"}


def test_out_of_distribution_results_are_those_of_table_iv() -> None:
    rows = {name: figures(of_paper(name, "ood")) for name in DATASETS}
    assert {name: len(own) for name, own in rows.items()} == dict(zip(DATASETS, (11, 11, 11, 9), strict=True))
    assert rows["YouTube-UGC"]["LMM-VQA (w/multi-task)"] == (0.748, 0.761)
    assert rows["LIVE-VQC"]["FAST-VQA"] == (0.823, 0.844)
    assert "VIDEVAL" not in rows["LIVE-YT-Gaming"]  # printed as NA


def test_fine_tuned_results_are_those_of_table_v() -> None:
    rows = {name: figures(published(name, "fine-tuning", "5-fold")) for name in DATASETS}
    assert [len(own) for own in rows.values()] == [8, 8, 8, 7]
    assert rows["KoNViD-1k"]["LMM-VQA (wo/multi-task)"] == (0.929, 0.930)


def test_videval_is_there_with_how_it_was_split() -> None:
    (row,) = published("KoNViD-1k", "random-splits")
    assert (row.srcc, row.plcc, row.test) == (0.7832, 0.7803, "80/20")
    assert "median of 100" in row.source


def test_an_ablation_is_named_by_what_it_varies() -> None:
    tokens = ablation("temporal tokens")
    assert [(row.method, row.srcc, row.seconds_per_video) for row in tokens] == [
        ("4", 0.879, 1.98),
        ("16", 0.886, 2.89),
        ("64", 0.904, 3.26),
        ("256", 0.913, 3.99),
    ]
    assert [row.srcc for row in ablation("training data")] == [0.758, 0.856, 0.878, 0.913]
    assert figures(ablation("spatial projector", "test-1080p"))["Perceiver"] == (0.844, 0.878)
    assert [row.srcc for row in ablation("micro-design", "test")] == [0.855, 0.889, 0.913, 0.916]


@pytest.mark.parametrize("dataset", ["LSVQ", *DATASETS])
def test_zero_shot_results_of_video_chat_models_are_those_of_table_i(dataset: str) -> None:
    rows = published(dataset, "zero-shot")
    assert len(rows) == (10 if dataset == "LSVQ" else 5)
    assert max(rows, key=lambda row: row.srcc).method == "VILA-1.5"


def test_level_accuracies_are_those_of_table_vi() -> None:
    assert all(len(published_level_accuracies(dataset)) == 3 for dataset in DATASETS)
    q_align, _, ours = published_level_accuracies("LSVQ", "test-1080p")
    assert (q_align.poor, q_align.fair, q_align.good, q_align.total) == (0.558, 0.142, 0.973, 0.561)
    assert (ours.method, ours.total) == ("LMM-VQA (w/multi-task)", 0.955)


def test_an_unknown_dataset_has_no_results() -> None:
    assert published("demo", "in-sample") == [] == published_level_accuracies("demo")


def test_every_figure_of_the_papers_text_is_there_and_no_other(shared_data: Path) -> None:
    paper = shared_data.parent / "papers" / "lmm-vqa-2408.14008-text.txt"
    if not paper.is_file():
        pytest.skip("the paper's text is not on this machine")
    ours = defaultdict(list)
    for result in published_results():
        if result.source.startswith(PAPER):
            row = ours[result.method.replace("→ ", ""), result.source, result.study]
            row += [result.srcc, result.plcc]
            if result.seconds_per_video is not None:
                row.append(result.seconds_per_video)
    for share in published_level_accuracies():
        # The table has two rows of three datasets
        row = ours[share.method, share.source, share.dataset in ("LSVQ", "KoNViD-1k")]
        row += [share.poor, share.fair, share.good, share.total]
    for benchmark in published_benchmarks():
        ours[benchmark.method, benchmark.source, None] += benchmark.scores.values()
    printed = printed_rows(paper.read_text(encoding="utf-8"))
    found = defaultdict(list)
    for (method, *_), row in ours.items():
        found[method].append(row)
    assert {name: sorted(rows) for name, rows in found.items()} == {
        name: sorted(rows) for name, rows in printed.items()
    }


def test_improvements_are_those_of_table_vii() -> None:
    found = [
        (over, shares)
        for result in ablation("micro-design", "test")
        for over, shares in (result.improvements or {}).items()
    ]
    assert found == [
        ("(I)", ("+3.9%", "+0.4%")),
        ("(I)", ("+6.7%", "+3.0%")),
        ("(II)", ("+2.6%", "+2.6%")),
        ("(I)", ("+7.1%", "+3.6%")),
        ("(III)", ("+0.3%", "+0.5%")),
    ]


def test_benchmark_scores_are_those_of_table_ix() -> None:
    scores = {result.method: result.scores for result in published_benchmarks()}
    assert len(scores) == 7 and {len(each) for each in scores.values()} == {5}
    assert scores["LMM-VQA"]["Temporal Understanding"] == 2.83
    assert all(0 <= score <= 5 for each in scores.values() for score in each.values())


def test_every_correlation_is_one_and_has_a_source() -> None:
    for result in published_results():
        assert -1 <= result.srcc <= 1 and (result.plcc is None or -1 <= result.plcc <= 1)
        assert re.search(r"arXiv \d{4}\.\d{5}|\w+/\w+", result.source)
    for share in published_level_accuracies():
        assert all(0 <= each <= 1 for each in (share.poor, share.fair, share.good, share.total))


@pytest.mark.parametrize(
    ("method", "dataset", "test", "srcc", "plcc"),
    [
        ("FineVQ", "LSVQ", "test-1080p", 0.828, 0.857),
        ("VersusQ", "LIVE-YT-Gaming", "all", 0.774, 0.814),
        ("W2S-VQA (stage 3)", "KoNViD-1k", "all", 0.902, 0.901),
        ("VQAThinker", "YouTube-UGC", "all", 0.860, 0.863),
        ("Q-Align + FAST-VQA", "KoNViD-1k", "all", 0.895, 0.897),
        ("VQA²-Scorer", "LIVE-VQC", "all", 0.785, 0.830),
        ("Q-ReAlign Pro (9B)", "LSVQ", "test", 0.883, 0.884),
    ],
)
def test_the_fields_results_are_there(method: str, dataset: str, test: str, srcc: float, plcc: float) -> None:
    protocol = "in-sample" if dataset == "LSVQ" else "ood"
    (row,) = [each for each in published(dataset, protocol, test) if each.method == method]
    assert (row.srcc, row.plcc, row.table) == (srcc, plcc, "field")


def test_what_learnt_from_splits_of_each_dataset_is_in_sample() -> None:
    rows = [each for each in published_results() if each.method == "FineVQ" and each.trained_on != "LSVQ"]
    assert {(row.protocol, row.test) for row in rows} == {("in-sample", "80/20")}
    assert {row.dataset for row in rows} == set(DATASETS)


def test_a_release_of_youtube_ugc_is_named_where_it_is_known_and_of_no_other_dataset() -> None:
    known = {(each.method, each.release) for each in published("YouTube-UGC", "ood")}
    assert ("LMM-VQA (w/multi-task)", 1142) in known
    assert {("FAST-VQA", None), ("FAST-VQA", 1020)} <= known
    assert {each.release for each in published_results() if each.dataset != "YouTube-UGC"} == {None}
