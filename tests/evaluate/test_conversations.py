"""Conversations about videos, pairs and pictures: the same commands as for opinion scores, end to end."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from small_videos import encode
from training_set import ROOT, decoder_overrides, logged
from typer import Typer
from typer.testing import CliRunner

from evaluate.__main__ import app as evaluate_app
from extract.__main__ import app as extract_app
from store.features import FeatureStore
from store.labels.errors import LabelLayoutError, LabelsMissingError
from train.__main__ import app as train_app
from train.errors import FeaturesMissingError, RunError, TrainError


def record(*said: str, **media: Any) -> dict[str, Any]:
    turns = [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(said)]
    return {**media, "conversations": turns}


RECORDS = [
    record("<image>What is the quality level?", "good", "How good is it?", "The quality", video="day/a.mp4"),
    record("<video> and <video>: which is better?", "poor", video=["day/a.mp4", "b.mp4"]),
    record("Judge the quality of <|image|>", "fair", image="c.png"),
    record("Is <image> as good as <video>?", "good", image="c.png", video="b.mp4"),
    record("Key frames:\n<image>. Motion:\n<image>. Which level?", "poor", image="b.mp4"),
    record("no answer", video="b.mp4"),
    record("What does it show?", "good", video="absent.mp4"),
]


class Place:
    """A folder with media, conversations, store and run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, folder / "run"
        self.labels = folder / "talks.jsonl"
        (folder / "media" / "day").mkdir(parents=True)
        encode(folder / "media" / "day" / "a.mp4", frames=40)
        encode(folder / "media" / "b.mp4", frames=70)
        encode(
            folder / "media" / "c.png", frames=1, codec="png", container_format="image2", pixel_format="rgb24"
        )
        self.write(RECORDS)

    def write(self, records: list[dict[str, Any]]) -> None:
        self.labels.write_text("".join(f"{json.dumps(each)}\n" for each in records))

    def command(self, app: Typer, *arguments: str | Path) -> str:
        talks = (
            f'{{ videos = "{self.folder / "media"}", labels = "{self.labels}", conversations = true,'
            ' source = "made here" }'
        )
        texts = [*decoder_overrides(self.folder), f"datasets.talks={talks}"]
        texts += [
            f"store.path={self.folder / 'features'}",
            f"datasets.demo.labels={self.folder / 'labels.csv'}",
        ]
        sets = [f"--set={text}" for text in texts]
        first, *rest = map(str, arguments)
        line = [first, f"--config={ROOT / 'pipelines.toml'}", *sets, *rest]
        result = CliRunner().invoke(app, line, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    def train(self, *arguments: str) -> Any:
        asked = ("tiny", "--dataset", "talks", "--run", self.run, "--json")
        return json.loads(self.command(train_app, *asked, *arguments))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("talks"))
    extracted = place.command(extract_app, "talks", "--pipeline", "tiny", "--workers", "0", "--json")
    place.extracted = json.loads(extracted)  # type: ignore[attr-defined]
    return place


def test_the_media_of_conversations_are_extracted_once(place: Any) -> None:
    assert (place.extracted["done"], place.extracted["missing"]) == (3, ["absent"])
    again = json.loads(place.command(extract_app, "talks", "--pipeline", "tiny", "--workers", "0", "--json"))
    assert (again["done"], again["already"]) == (0, 3)


@pytest.mark.slow
def test_a_run_learns_what_is_said_and_knows_it_again(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    changes = {"batch_size": 2, "learning_rate": 1e-2}
    asked = [f"--set=pipelines.tiny.training.{key}={value}" for key, value in changes.items()]
    place.write(RECORDS * 4)
    with caplog.at_level(logging.WARNING):
        trained = place.train("--restart", *asked)
    assert "4 of 28 records cannot be used: line 6 ends with a question that has no answer" in caplog.text
    assert trained["videos"]["talks"] == {"train": 20, "val": 0, "test": 0}
    assert trained["missing"]["talks"] == ["line 7", "line 14", "line 21", "line 28"]
    losses = logged(place.run, "loss")
    assert losses[30] < 0.6 * losses[1]
    assert place.train(*asked)["outcome"]["resumed_from_step"] == 30
    place.write([*RECORDS * 3, *RECORDS[:4], record("Which level?", "good", image="b.mp4")])
    with pytest.raises(RunError, match=r"labels of talks: .*line 26"):
        place.train(*asked)
    place.write(RECORDS)


@pytest.mark.slow
def test_a_plan_counts_conversations(place: Any) -> None:
    plan = place.train("--dry-run")
    assert plan["videos"]["talks"]["train"] == 5 and plan["missing"] == {"talks": 1}
    planned = place.train("--dry-run", "--seconds", "4")
    assert planned["videos"]["talks"]["train"] == 6


@pytest.fixture(scope="module")
def trained(place: Place) -> Place:
    place.write(RECORDS)
    place.train("--restart", "--set=pipelines.tiny.training.epochs=1")
    return place


def test_a_run_is_tested_on_the_last_answers_of_conversations(trained: Place) -> None:
    place = trained
    found = json.loads(place.command(evaluate_app, "run", place.run, "--split", "train", "--json"))
    assert (found["n"], found["missing"], found["tasks"]["all"]["n"]) == (5, ["line 7"], 5)
    lines = (place.run / "evaluation-train" / "answers.jsonl").read_text().splitlines()
    assert [json.loads(line)["conversation"] for line in lines] == [f"line {n}" for n in range(1, 6)]
    shown = place.command(evaluate_app, "run", place.run, "--split", "train")
    assert "talks, train" in shown and "1 conversation without features left out" in shown


def test_what_conversations_cannot_do_is_said(trained: Place) -> None:
    place = trained
    with pytest.raises(RunError, match="talks has no conversation with features in its split 'test'; it has"):
        place.command(evaluate_app, "run", place.run)
    with pytest.raises(TrainError, match="talks has conversations, which head = regression cannot learn"):
        place.train("--restart", "--set", "pipelines.tiny.head=regression")
    place.write(RECORDS[-2:-1])
    with pytest.raises(LabelLayoutError, match="none of 1 records can be used: line 1 ends with a question"):
        place.train()
    place.write(RECORDS[-1:])
    with pytest.raises(
        FeaturesMissingError, match="no conversation of talks to train on has all of its media"
    ):
        place.train()
    place.labels.unlink()
    with pytest.raises(LabelsMissingError, match=r"(?s)talks\.jsonl.*get them from: made here"):
        place.train()
    place.write(RECORDS)


MOTION = (
    '--set=encoders.moving={ kind = "nss", dtype = "float32", shapes = { temporal = [1, 90] } }',
    "--set=pipelines.tiny.branches.temporal.encoder=moving",
    "--set=pipelines.tiny.branches.temporal.pictures=false",
)


@pytest.mark.slow
def test_pictures_are_not_extracted_for_motion_that_nothing_reads(tmp_path: Path) -> None:
    place = Place(tmp_path / "talks")
    asked = ("talks", "--pipeline", "tiny", "--workers", "0", "--json", *MOTION)
    plan = json.loads(place.command(extract_app, *asked, "--dry-run"))
    counts = [(each["to_do"], each["done"], each["spared"]) for each in plan["encoders"].values()]
    assert plan["to_do"] == 3 and sorted(counts) == [(2, 0, 1), (3, 0, 0)]
    shown = place.command(extract_app, *(each for each in asked if each != "--json"), "--dry-run")
    assert "moving: 2 to do, 0 done, 0 in quarantine, 1 picture left out" in shown
    extracted = json.loads(place.command(extract_app, *asked))
    assert (extracted["done"], extracted["quarantined"]) == (3, {})
    store = FeatureStore(place.folder / "features")
    stored = sorted(sorted(features.videos()) for features in store.feature_sets())
    assert stored == [["b", "c", "day/a"], ["b", "day/a"]]
    again = json.loads(place.command(extract_app, *asked))
    assert (again["done"], again["already"]) == (0, 3)

    trained = place.train("--restart", *MOTION)
    assert trained["videos"]["talks"]["train"] == 5 and trained["missing"]["talks"] == ["line 7"]
    assert place.train("--dry-run", *MOTION)["videos"]["talks"]["train"] == 5
    # A pipeline that does see pictures so gets what it lacks.
    with_motion = json.loads(place.command(extract_app, *asked[:-1]))
    assert (with_motion["done"], with_motion["already"]) == (1, 2)
    assert place.train("--restart", *MOTION[:-1])["videos"]["talks"]["train"] == 5
