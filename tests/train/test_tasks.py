"""Tasks that only pipelines.toml knows: trained, validated, predicted and evaluated like the score."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_language import task_texts
from training_set import ROOT, decoder_overrides, logged, make_features, progress_of

from config.load import load_settings
from config.schema import RunSettings
from demo.decoder_tokenizer import build_tokenizer
from evaluate.metrics.scores import LevelAccuracy, Metrics
from evaluate.report.publish import publish
from evaluate.results.run import Evaluation, evaluate_run, write_evaluation
from evaluate.scoring.model import load_trained
from store.features import FeatureStore
from store.labels.files import Label
from train.data.reader import FeatureReader
from train.data.samples import Split
from train.errors import RunError, TaskLabelError, TrainError
from train.job import train_run
from train.pretrained import TrainedModel

ADDED = """
[tasks.fault]
system = "You are an expert in video quality. You see a video and judge how good it looks to people."
questions = ["What does this video show?", "Please judge the video."]
answer = "The fault is {value}"
form = { kind = "words", words = ["blur", "motion blur", "noise"] }
label = "fault"

[tasks.sharpness]
system = "You are an expert in sharpness."
questions = ["What is the sharpness of this video?"]
answer = "{value}"
form = { kind = "number", low = 0, high = 10 }
label = "sharpness"
label_range = [5, 1]

[tasks.five]
extends = "rating"
read = "probabilities"

[tasks.spoken]
extends = "score"
read = "text"

[tasks.remark]
system = "You are an expert in video quality. You see a video and judge how good it looks to people."
questions = ["What does this video look like?"]
form = { kind = "text", max_tokens = 8 }
label = "remark"
"""
FAULTS = ("blur", "motion blur", "noise")


def settings_of(folder: Path, *tasks: str, **changes: str) -> RunSettings:
    """The pipeline `tiny` with tasks of a pipelines.toml that is longer than the repository's."""
    file = folder / "pipelines.toml"
    file.write_text((ROOT / "pipelines.toml").read_text() + ADDED)
    # The random decoder, and so how soon it learns, follows from its vocabulary: VQA²'s words stay out.
    known = load_settings(file).tasks
    texts = task_texts({name: task for name, task in known.items() if not name.startswith("vqa2-")})
    build_tokenizer([*texts, "sharp soft and all of it"]).save_pretrained(folder / "tokenizer")
    chosen = [f"pipelines.tiny.tasks={json.dumps(tasks)}", "pipelines.tiny.training.targets.sigma=3"]
    keys = {name: name.replace("__", ".") for name in changes}
    places = {
        name: key if key.startswith("tasks.") else f"pipelines.tiny.{key}" for name, key in keys.items()
    }
    more = [f"{places[name]}={value}" for name, value in changes.items()]
    settings = load_settings(file, [*decoder_overrides(folder), *chosen, *more])
    return settings.run(settings.pipelines["tiny"], settings.datasets["demo"])


def labelled(folder: Path) -> tuple[FeatureStore, Split]:
    """Labels with further columns, which follow from the features too; some cells are empty."""
    store, split = make_features(folder)
    features = store.find("demo", "nss", None)
    more = {}
    for label in (label for part in split.values() for label in part):
        means = features.read(label.video, "spatial").mean(axis=0)[0]
        columns = {
            "fault": FAULTS[int(np.argmax(means[:3]))],
            "remark": "sharp" if means[1] > 0 else "soft and all",
        }
        columns["sharpness"] = f"{np.clip(3 + means[1], 1, 5):.2f}"
        if label.video in ("v1", "v3"):
            del columns["fault"]
        more[label.video] = replace(label, extra=columns)
    return store, {name: [more[label.video] for label in part] for name, part in split.items()}


def trained_with(folder: Path, *tasks: str, **changes: str) -> tuple[TrainedModel, FeatureStore, Split]:
    store, split = labelled(folder)
    train_run(settings_of(folder, *tasks, **changes), store, {"demo": split}, folder / "run", quiet=True)
    return load_trained(folder / "run"), store, split


def evaluated(
    folder: Path, trained: TrainedModel, store: FeatureStore, split: Split, part: str = "train"
) -> Evaluation:
    columns = ("fault", "sharpness", "remark")
    lines = ["video,mos," + ",".join(columns)]
    for label in (label for part in split.values() for label in part):
        lines.append(",".join([label.video, str(label.mos), *(label.extra.get(c, "") for c in columns)]))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    dataset = trained.settings.dataset.model_copy(update={"labels": folder / "labels.csv", "group": None})
    return evaluate_run(trained, store, dataset, part, quiet=True)


@pytest.mark.slow
def test_a_task_is_added_by_pipelines_toml_alone(tmp_path: Path) -> None:
    tasks = ("five", "fault", "sharpness", "remark")
    trained, store, split = trained_with(tmp_path, *tasks, training__epochs="25")
    assert "srcc" in progress_of(tmp_path / "run")[-1]  # of the score, which comes from words with weights
    reader = FeatureReader(store, trained.settings.dataset, trained.settings.pipeline.branches)
    test = [label.video for label in split["test"]]
    together = trained.predict([reader.read(video) for video in test])
    assert together == [trained.predict([reader.read(video)])[0] for video in test]
    for found in together:
        five, fault, sharpness, remark = (found.answers[name] for name in tasks)
        expected = sum(p * 25 * number for number, p in enumerate(five.probabilities.values()))
        assert (found.score, found.score) == (five.score, pytest.approx(expected, abs=1e-3))
        assert (five.text, found.level) == (None, five.value)
        assert fault.value in FAULTS and fault.score is None
        assert sum(fault.probabilities.values()) == pytest.approx(1)
        assert isinstance(sharpness.value, float) and 0 <= sharpness.value <= 10
        assert remark.value is None and remark.text is not None and len(remark.text.split()) <= 8
    evaluation = evaluated(tmp_path, trained, store, split)
    fault, sharpness = evaluation.tasks["fault"], evaluation.tasks["sharpness"]
    assert isinstance(fault, LevelAccuracy) and fault.n == 18 and (fault.total or 0) > 0.5
    assert (
        isinstance(sharpness, Metrics) and (sharpness.srcc or 0) > 0.5
    )  # the range [5, 1] turns the column round
    assert isinstance(evaluation.tasks["remark"], LevelAccuracy)
    write_evaluation(tmp_path / "evaluation", evaluation)
    header, *_ = (tmp_path / "evaluation" / "predictions.csv").read_text().splitlines()
    assert header.endswith("fault,sharpness,remark,fault_pred,sharpness_pred,remark_pred")
    published = publish(trained, evaluation)
    assert re.search(r"\nfault: accuracy 0\.\d+ .*; 18 videos", "\n" + "\n".join(published.lines))
    assert "excellent" in (published.folder / "report.html").read_text()
    card = (trained.checkpoint / "README.md").read_text()
    assert "five: bad up to 20.00, poor up to 40.00" in card


def test_a_task_may_be_read_from_its_text_alone(tmp_path: Path) -> None:
    trained, store, split = trained_with(tmp_path, "spoken", training__epochs="25")
    evaluation = evaluated(tmp_path, trained, store, split)
    assert evaluation.expected == evaluation.generate
    assert (
        0 < evaluation.expected.n == len(evaluation.rows) - evaluation.parse_failures < len(evaluation.rows)
    )
    assert all(row.score == row.score_generate and row.std is None for row in evaluation.rows)


def test_a_sample_is_asked_only_what_its_labels_answer(tmp_path: Path) -> None:
    trained, _, split = trained_with(tmp_path, "fault", training__epochs="1", training__batch_size="20")
    assert trained.run.split["demo"]["train"].videos == len(split["train"]) - 2
    assert len(logged(tmp_path / "run", "loss")) == 1
    assert (
        progress_of(tmp_path / "run") == []
    )  # nothing asks for opinion scores: the last checkpoint is taken
    with pytest.raises(RunError, match=r"not asked for opinion scores \(tasks fault\).*evaluate predict"):
        evaluated(tmp_path, trained, *labelled(tmp_path))
    (prediction,) = trained.predict(
        [{name: torch.zeros(1, 1, n) for name, n in (("spatial", 6), ("temporal", 3))}]
    )
    assert prediction.score is prediction.level is prediction.text is None
    assert prediction.answers["fault"].value in FAULTS


@pytest.mark.parametrize(
    ("column", "cell", "tasks", "error", "message"),
    [
        (
            "fault",
            "dust",
            ("fault",),
            TaskLabelError,
            r"v0 of demo: fault is 'dust'.*are blur, motion blur, noise",
        ),
        (
            "sharpness",
            "7",
            ("sharpness",),
            TaskLabelError,
            r"v0 of demo: sharpness is 7, outside.*label_range",
        ),
        (
            "sharpness",
            None,
            ("sharpness",),
            TaskLabelError,
            r"'sharpness' asks for the column 'sharpness', of which",
        ),
    ],
)
def test_labels_that_cannot_be_answers_are_refused_by_name(
    tmp_path: Path,
    column: str,
    cell: str | None,
    tasks: tuple[str, ...],
    error: type[Exception],
    message: str,
) -> None:
    store, split = labelled(tmp_path)

    def changed(label: Label) -> Label:
        rest = {name: value for name, value in label.extra.items() if name != column}
        return replace(label, extra=rest if cell is None else {**rest, column: cell})

    odd = {name: [changed(label) for label in part] for name, part in split.items()}
    with pytest.raises(error, match=message):
        train_run(settings_of(tmp_path, *tasks), store, {"demo": odd}, tmp_path / "run", quiet=True)


def test_the_regression_baseline_answers_numbers_and_words_and_refuses_text(tmp_path: Path) -> None:
    head = {"head": "regression", "training__epochs": "15"}
    trained, store, split = trained_with(tmp_path, "score", "fault", "sharpness", **head)
    evaluation = evaluated(tmp_path, trained, store, split)
    fault, sharpness = evaluation.tasks["fault"], evaluation.tasks["sharpness"]
    assert isinstance(fault, LevelAccuracy) and (fault.total or 0) > 0.5
    assert isinstance(sharpness, Metrics) and (sharpness.srcc or 0) > 0.5
    assert not evaluation.levels.classes  # the pipeline names no task of levels
    with pytest.raises(TrainError, match=r"'remark' asks for text, which head = regression cannot write"):
        train_run(
            settings_of(tmp_path, "score", "remark", **head),
            store,
            {"demo": split},
            tmp_path / "text",
            quiet=True,
        )


def test_a_dataset_whose_column_means_something_else_is_evaluated_without_the_task(
    tmp_path: Path,
) -> None:
    trained, store, split = trained_with(tmp_path, "score", "fault", training__epochs="1")
    odd = {
        name: [replace(label, extra={**label.extra, "fault": "none"}) for label in part]
        for name, part in split.items()
    }
    evaluation = evaluated(tmp_path, trained, store, odd)
    assert evaluation.tasks == {} and evaluation.expected.n == 20
    assert any("the task fault is not compared: v0 of demo: fault is 'none'" in r for r in evaluation.remarks)


def test_a_text_longer_than_its_task_allows_is_refused(tmp_path: Path) -> None:
    store, split = labelled(tmp_path)
    long = {
        name: [replace(label, extra={"remark": "soft and all " * 9}) for label in p]
        for name, p in split.items()
    }
    with pytest.raises(
        TaskLabelError, match=r"v0 of demo: the answer to 'remark' has 27 tokens.*max_tokens = 8"
    ):
        train_run(
            settings_of(tmp_path, "score", "remark"), store, {"demo": long}, tmp_path / "run", quiet=True
        )


def test_an_answer_of_many_words_is_written_to_its_end(tmp_path: Path) -> None:
    template = "video " * 30 + "{value}"
    trained, store, split = trained_with(
        tmp_path, "score", tasks__score__answer=template, training__epochs="40"
    )
    reader = FeatureReader(store, trained.settings.dataset, trained.settings.pipeline.branches)
    found = trained.predict([reader.read(label.video) for label in split["train"][:4]])
    assert all(len((prediction.text or "").split()) > 24 for prediction in found)


def test_answers_that_the_tokenizer_writes_alike_are_refused(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "score")
    (tmp_path / "pipelines.toml").write_text(
        (tmp_path / "pipelines.toml").read_text().replace('"motion blur", "noise"', '"zebra", "xylophone"')
    )
    odd = load_settings(tmp_path / "pipelines.toml").tasks["fault"]
    settings = settings.model_copy(update={"tasks": {"fault": odd}})
    store, split = labelled(tmp_path)
    fine = {name: [replace(label, extra={"fault": "blur"}) for label in part] for name, part in split.items()}
    with pytest.raises(
        TrainError, match=r"'The fault is xylophone', an answer of the task 'fault', like another"
    ):
        train_run(settings, store, {"demo": fine}, tmp_path / "run", quiet=True)
