"""Published figures: what the LMM-VQA paper's tables say, each with its source."""

import pytest

from evaluate.report.published import ablation, published, published_level_accuracies

DATASETS = ("KoNViD-1k", "YouTube-UGC", "LIVE-VQC", "LIVE-YT-Gaming")


def figures(results: list) -> dict[str, tuple[float, float]]:
    return {result.method: (result.srcc, result.plcc) for result in results}


def test_in_sample_results_are_those_of_table_iii() -> None:
    rows = published("LSVQ", "in-sample", "test")
    assert len(rows) == 12
    assert figures(rows)["LMM-VQA (w/multi-task)"] == (0.916, 0.919)
    assert figures(published("LSVQ", "in-sample", "test-1080p"))["DOVER"] == (0.795, 0.830)
    assert len(published("LSVQ", "in-sample")) == 24
    assert {row.source for row in rows} == {"arXiv 2408.14008, Table III"}
    assert {row.trained_on for row in rows} == {"LSVQ"}


def test_out_of_distribution_results_are_those_of_table_iv() -> None:
    rows = {name: figures(published(name, "ood")) for name in DATASETS}
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
