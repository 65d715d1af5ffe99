"""Answers to conversations whose features are stored: after one epoch, and beside a talk without a store."""

import json
from pathlib import Path

import numpy as np
import pytest
from training_set import run_settings

from config.schema import DatasetSettings
from evaluate.questions.asking import conversation
from evaluate.questions.reading import read_questions
from evaluate.results.conversations import MOST_TOKENS, evaluate_conversations, write_answers
from evaluate.scoring.answered import answer_conversations
from evaluate.scoring.model import load_trained, run_reader, unpractised
from store.features import FeatureStore
from train.data.dialogues import dialogue_samples
from train.errors import RunError, TrainError
from train.inference.opening import Opening
from train.job import train_run

ASKED = (
    ("<image>What is the quality level?", "good", ["a.mp4"], "level"),
    ("Key frames <image>, motion <image>: the score?", "63", ["b.mp4"], "score"),
    ("<image> or <image>: which is better?", "the first", ["b.mp4", "a.mp4"], None),
)


@pytest.mark.slow
def test_what_is_written_is_what_a_talk_about_the_same_features_writes(tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "image": media,
                    "task_mark": mark,
                    "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": answer}],
                }
            )
            + "\n"
            for text, answer, media, mark in ASKED
        )
    )
    store, random = FeatureStore(tmp_path / "features"), np.random.default_rng(2)
    with store.feature_set("said", "nss", {"made": "for tests"}).writer() as writer:
        for video in "ab":
            spatial = random.standard_normal((2, 1, 6)).astype(np.float32)
            writer.add(video, {"spatial": spatial, "temporal": spatial[..., :3].copy()})
    dataset = DatasetSettings(
        name="said",
        videos=tmp_path,
        labels=dict.fromkeys(("train", "test"), tmp_path / "said.jsonl"),
        conversations=True,
        source="made here",
    )
    settings = run_settings(tmp_path, "pipelines.tiny.training.epochs=1")
    settings = settings.model_copy(update={"datasets": (dataset,)})
    train_run(settings, store, {}, tmp_path / "run", quiet=True)
    trained = load_trained(tmp_path / "run", "cpu")
    reader = run_reader(trained, store, dataset)
    samples = dialogue_samples(trained.settings, dataset, reader).parts["test"]
    found = list(answer_conversations(trained, samples, reader, 5, quiet=True))
    assert [each.true for each in found] == [answer for _, answer, _, _ in ASKED]
    features = {video: reader.read(video) for video in "ab"}
    shown = ([("a", None)], [("b", ["spatial"]), ("b", ["temporal"])], [("b", None), ("a", None)])
    for each, media in zip(found, shown, strict=True):
        talk = trained.talk()
        for video, branches in media:
            talk.show(features[video], branches)
        assert each.sample.said is not None
        assert each.written == talk.reply(each.sample.said.messages[:1], max_new_tokens=5)
    too_long = list(answer_conversations(trained, samples, reader, 10**6, quiet=True))
    assert [each.written for each in too_long] == ["", "", ""]
    assert all("tokens" in str(each.problem) for each in too_long)
    assert unpractised(trained) == []
    opening = Opening.of(trained.settings)
    for question, sample in zip(read_questions(tmp_path / "said.jsonl").asked, samples, strict=True):
        asked, said = conversation(question, opening), sample.said
        assert said is not None and asked.messages == said.messages[:-1]  # no system prompt, as in training
        assert asked.branches == said.branches and len(asked.media) == len(said.media)
    evaluation = evaluate_conversations(trained, store, dataset, "test", quiet=True)
    again = answer_conversations(trained, samples, reader, MOST_TOKENS, quiet=True)
    assert [each.written for each in evaluation.answers] == [each.written for each in again]
    assert {name: each.n for name, each in evaluation.tasks.items()} == {"level": 1, "score": 1, "all": 3}
    write_answers(tmp_path / "found", evaluation)
    lines = [json.loads(line) for line in (tmp_path / "found" / "answers.jsonl").read_text().splitlines()]
    assert [(each["videos"], each["true"]) for each in lines] == [
        (["a"], "good"),
        (["b"], "63"),
        (["b", "a"], "the first"),
    ]
    with pytest.raises(RunError, match="no conversation with features in its split 'val'; it has train"):
        evaluate_conversations(trained, store, dataset, "val")
    scored = dialogue_samples(trained.settings, dataset, reader).parts["test"][0]
    unanswered = scored.__class__("a", "said", 50.0, 50.0, {})
    with pytest.raises(TrainError, match="a of said: expected a conversation with an answer last"):
        list(answer_conversations(trained, [unanswered], reader, quiet=True))
