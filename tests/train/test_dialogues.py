"""Conversations of a dataset as samples: what they show, how long they are, beside datasets with scores."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_set import make_features, run_settings

from config.schema import DatasetSettings, RunSettings
from store.features import FeatureStore
from train.answers.chat import Slot
from train.answers.conversation import SLOT
from train.data.dialogues import dialogue_samples
from train.data.questions import TaskQuestions
from train.data.reader import FeatureReader, Features
from train.data.samples import Medium
from train.job import dataset_part, run_samples, train_run
from train.loop.lengths import sequence_tokens
from train.model.build import build_model
from train.model.order import with_parts
from train.model.quality import QualityModel


def record(*said: Any, **media: Any) -> dict[str, Any]:
    turns = [{"from": ("human", "ai")[n % 2], "value": text} for n, text in enumerate(said)]
    return {**media, "conversations": turns}


RECORDS = [
    record("<image>What is the quality level?", "good", "How good is it?", "The quality", video="a.mp4"),
    record("<video> and <video>: which is better?", 3.5, video=["a.mp4", "b.mp4"]),
    record("The quality of <|image|>", "fair", image=["b.mp4"]),
    record("<video> <video>, the same?", "good", video=["b.mp4", "b.mp4"]),
    record("Key frames <image> and motion <image>", "poor", image="a.mp4"),
]


def talks(folder: Path, *overrides: str, records: list[dict[str, Any]] = RECORDS) -> RunSettings:
    """A run on conversations about two stored videos."""
    (folder / "talks.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records))
    random = np.random.default_rng(2)
    with (
        FeatureStore(folder / "features")
        .feature_set("talks", "nss", {"made": "for tests"})
        .writer() as writer
    ):
        for video, chunks in (("a", 3), ("b", 2)):
            spatial = random.standard_normal((chunks, 1, 6)).astype(np.float32)
            writer.add(video, {"spatial": spatial, "temporal": spatial[..., :3].copy()})
    own = DatasetSettings(
        name="talks", videos=folder, labels=folder / "talks.jsonl", conversations=True, source="made here"
    )
    settings = run_settings(folder, *overrides)
    return settings.model_copy(update={"datasets": (own,)})


def part_shown(
    model: QualityModel, media: list[Features], read: list[torch.Tensor], number: int, branches: Sequence[str]
) -> torch.Tensor:
    return model.part(media[number], read[number], branches)


def test_samples_show_each_medium_once_and_say_it_in_its_slots(tmp_path: Path) -> None:
    settings = talks(tmp_path)
    reader = FeatureReader(FeatureStore(tmp_path / "features"), settings.dataset, settings.pipeline.branches)
    found = dialogue_samples(settings, settings.dataset, reader)
    a, b = Medium("talks", "a"), Medium("talks", "b")
    one, two, three, four, parts = found.parts["train"]
    assert [each.media for each in (one, two, three, four, parts)] == [(a,), (a, b), (b,), (b,), (a,)]
    assert [each.said.media for each in (one, two, three, four, parts)] == [
        (0,),
        (0, 1),
        (0,),
        (0, 0),
        (0, 0),
    ]
    assert four.read == [(b, None), (b, None)]
    assert parts.read == [(a, ("spatial",)), (a, ("temporal",))]
    assert [message.role for message in one.said.messages] == ["user", "assistant"] * 2
    assert [message.text for message in two.said.messages] == [f"{SLOT} and {SLOT}: which is better?", "3.5"]
    assert parts.said.messages[0].text == f"Key frames {SLOT} and motion {SLOT}"
    assert (one.video, found.missing) == ("line 1", [])
    questions = TaskQuestions(found.parts["train"], None, ["score"], 0)  # type: ignore[arg-type]
    assert [each.media for each in questions(3, [1, 3, 0])] == [(0, 1), (2, 2), (3,)]


def test_their_lengths_are_those_of_the_row_and_what_is_shared_is_read_once(tmp_path: Path) -> None:
    kept = [f"pipelines.tiny.branches.{name}.over_time=keep" for name in ("spatial", "temporal")]
    settings = talks(tmp_path, *kept)
    samples = run_samples(settings, FeatureStore(tmp_path / "features"), {})
    data = dataset_part(samples, "train")
    model = build_model(settings.pipeline, settings.tasks, data.readers["talks"].shapes())
    assert isinstance(model, QualityModel)
    tokens = sequence_tokens(data, model, settings.pipeline.tasks)
    for number, sample in enumerate(data.samples):
        assert sample.said is not None
        media = data[number]
        read = model.visual_tokens(media)
        parts = partial(part_shown, model, media, read)
        packed = model.pack(*with_parts(read, [sample.said], parts))
        assert tokens[number] == packed.embeddings.shape[1]
        slots = [piece for piece in model.prompts.chat.pieces(sample.said) if isinstance(piece, Slot)]
        assert len(slots) == len(sample.read)
    shown = list(data.shown("spatial"))
    assert [len(each) for each in shown] == [3, 2]
    assert torch.equal(shown[1], data[1][1]["spatial"])


def test_a_share_of_them_follows_from_what_is_said(tmp_path: Path) -> None:
    records = [record(f"<image>Is this the quality {n}?", "good", video="a.mp4") for n in range(40)]
    chosen = []
    for share, order in (("0.25", 1), ("0.5", 1), ("0.5", -1)):
        settings = talks(tmp_path, f"pipelines.tiny.training.data_share={share}", records=records[::order])
        store = FeatureStore(tmp_path / "features")
        reader = FeatureReader(store, settings.dataset, settings.pipeline.branches)
        part = dialogue_samples(settings, settings.dataset, reader).parts["train"]
        chosen.append({sample.said.messages[0].text for sample in part if sample.said is not None})
    assert 3 < len(chosen[0]) < 17 and 12 < len(chosen[1]) < 28
    assert chosen[0] < chosen[1] == chosen[2]


def test_scores_and_conversations_are_trained_on_together(tmp_path: Path) -> None:
    settings = talks(tmp_path, "pipelines.tiny.training.epochs=1")
    store, split = make_features(tmp_path)
    scored = run_settings(tmp_path).dataset
    settings = settings.model_copy(update={"datasets": (scored, *settings.datasets)})
    trained = train_run(settings, store, {"demo": split}, tmp_path / "run", quiet=True)
    assert trained.videos == {
        "demo": {"train": 20, "val": 12, "test": 8},
        "talks": {"train": 5, "val": 0, "test": 0},
    }
    assert trained.outcome.best_srcc is not None


def test_splits_without_conversations_are_trained_without(tmp_path: Path) -> None:
    settings = talks(tmp_path, "pipelines.tiny.training.epochs=1")
    labels = {split: tmp_path / f"{split}.jsonl" for split in ("train", "val", "test")}
    for file in labels.values():
        file.touch()
    (tmp_path / "talks.jsonl").replace(labels["train"])
    own = settings.dataset.model_copy(update={"labels": labels})
    settings = settings.model_copy(update={"datasets": (own,)})
    trained = train_run(settings, FeatureStore(tmp_path / "features"), {}, tmp_path / "run", quiet=True)
    assert trained.videos == {"talks": {"train": 5, "val": 0, "test": 0}}


@pytest.mark.parametrize("key", ["exclude", "group", "mos_column"])
def test_settings_of_scores_are_refused_beside_conversations(tmp_path: Path, key: str) -> None:
    value: Any = ("a.mp4",) if key == "exclude" else "x"
    with pytest.raises(ValueError, match=f"{key} is for opinion scores, which conversations have not"):
        DatasetSettings(
            name="talks", videos=tmp_path, labels=tmp_path, conversations=True, source="here", **{key: value}
        )
    with pytest.raises(ValueError, match="mos_range"):
        DatasetSettings(name="scores", videos=tmp_path, labels=tmp_path, source="here")  # type: ignore[call-arg]


def test_pictures_go_without_motion_and_two_slots_are_dealt_out_by_the_settings(tmp_path: Path) -> None:
    records = [
        record("<image> and <image>", "fair", image="b.png"),
        record("<image>, <image>, <image>, <image>", "fair", image=["a.mp4", "b.png"]),
    ]
    motion = "pipelines.tiny.branches.temporal.pictures=false"
    for more, shown in (
        ([], [("spatial",), ("temporal",), None]),
        (
            ['pipelines.tiny.slots=[["temporal","spatial"],["temporal"]]'],
            [("temporal", "spatial"), ("temporal",), None],
        ),
        (["pipelines.tiny.token_order=interleaved"], [None, None]),
    ):
        settings = talks(tmp_path, motion, *more, records=records)
        store = FeatureStore(tmp_path / "features")
        data = dataset_part(run_samples(settings, store, {}), "train")
        one, two = data.samples
        picture = Medium("talks", "b", branches=("spatial",))
        assert one.media == (picture,) and one.read == [(picture, None)]
        assert [part for _, part in two.read] == shown
        assert data[0][0].keys() == {"spatial"}
        model = build_model(settings.pipeline, settings.tasks, data.readers["talks"].shapes())
        assert len(sequence_tokens(data, model, settings.pipeline.tasks)) == 2
        said = [sample.said for sample in data.samples if sample.said is not None]
        assert model(data[0] + data[1], [said[0], said[1].moved(1)]).isfinite().all()
