import math
from fractions import Fraction
from pathlib import Path

import pytest
from extraction import recipe, run_job
from fragile_encoder import Clock, DeviceEncoder, FragileEncoder
from small_videos import encode

from config.schema import EncoderSettings
from extract.encoders.videval.encoder import VidevalEncoder
from extract.encoders.videval.sampling import VARIANTS
from extract.job.job import ExtractionJob
from extract.job.plan import bytes_per_second, make_plan, measured_speed
from extract.tasks import VideoTask
from extract.video.counted import CountedView
from extract.video.view import FrameRequest, View


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    empty = folder / "empty.mp4"
    empty.touch()
    files = {f"v{n}": encode(folder / f"v{n}.mp4", frames=20 * n, rate=20) for n in (1, 2, 3)}
    return {**files, "empty": empty}


def test_a_plan_predicts_what_the_extraction_then_does(tmp_path, videos):
    encoders = {"mean": FragileEncoder(), "device": DeviceEncoder(batch=2)}
    good = {video: path for video, path in videos.items() if video != "empty"}
    plan = make_plan(ExtractionJob(recipe(tmp_path), encoders), good, encoders, ["cpu"], 0)
    assert not list(tmp_path.iterdir())
    _, summary = run_job(tmp_path, encoders, good)
    assert plan.video_seconds == pytest.approx(summary.video_seconds)
    assert plan.feature_bytes == summary.feature_bytes
    assert plan.source_bytes == summary.source_bytes
    assert plan.to_do == summary.done == 3
    after = make_plan(ExtractionJob(recipe(tmp_path), encoders), videos, encoders, ["cpu"], 0)
    assert {name: (p.to_do, p.done, p.quarantined) for name, p in after.encoders.items()} == {
        "mean": (1, 3, 0),
        "device": (1, 3, 0),
    }
    run_job(tmp_path, encoders, videos)
    last = make_plan(ExtractionJob(recipe(tmp_path), encoders), videos, encoders, ["cpu"], 0)
    assert (last.to_do, last.speed, last.seconds) == (0, None, None)
    assert [p.quarantined for p in last.encoders.values()] == [1, 1]
    again = make_plan(
        ExtractionJob(recipe(tmp_path), encoders), videos, encoders, ["cpu"], 0, retry_quarantined=True
    )
    assert [(p.to_do, p.quarantined) for p in again.encoders.values()] == [(1, 0), (1, 0)]
    assert last.lines()[0] == "0 of 4 videos to extract, 0 B of files"


def test_a_plan_for_videos_that_cannot_be_read_estimates_nothing(tmp_path, videos):
    encoders = {"mean": FragileEncoder()}
    only_bad = {"empty": videos["empty"], "absent": Path("/nowhere/v.mp4")}
    plan = make_plan(ExtractionJob(recipe(tmp_path), encoders), only_bad, encoders, ["cpu"], 0)
    assert (plan.to_do, plan.video_seconds, plan.feature_bytes, plan.speed) == (2, None, None, None)


def test_devices_multiply_the_speed(tmp_path, videos, monkeypatch):
    monkeypatch.setattr("extract.job.plan.measured_speed", lambda *_: 2.5)  # two trials are never as fast
    encoders = {"mean": FragileEncoder()}
    job = ExtractionJob(recipe(tmp_path), encoders)
    one, four = (make_plan(job, videos, encoders, ["cpu"] * n, 0) for n in (1, 4))
    assert (one.speed, four.speed) == (2.5, 10.0)
    assert four.seconds == pytest.approx(four.video_seconds / 10)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_trial_ends_in_time_and_counts_only_what_was_done(videos, workers):
    long = [VideoTask(f"v{n}", videos["v3"], ("mean",)) for n in range(100_000)]
    speed = measured_speed(long, {"mean": FragileEncoder()}, "cpu", workers, trial_seconds=0.5)
    assert speed is not None
    assert 0 < speed < math.inf


class Slow(DeviceEncoder):
    """Takes so many seconds of the clock for a chunk, whichever else it is asked for."""

    def __init__(self, clock, seconds, batch=1):
        super().__init__(batch)
        self.clock, self.seconds = clock, seconds

    def encode(self, chunks):
        self.clock.seconds += self.seconds * len(chunks)
        return super().encode(chunks)


@pytest.mark.parametrize("batch", [1, 2])
def test_encoders_of_different_speed_count_in_full_however_short_the_trial(videos, batch, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("extract.job.plan.time", clock)
    encoders = {"fast": Slow(clock, 0.05, batch), "slow": Slow(clock, 0.4, batch)}
    tasks = [VideoTask(f"v{n}", videos["v3"], tuple(encoders)) for n in range(9)]
    speed = measured_speed(tasks, encoders, "cpu", 1, trial_seconds=1.0)
    assert speed == pytest.approx(1 / 0.45)


@pytest.mark.parametrize(
    ("view", "items"),
    [
        (View({"luma": FrameRequest(4)}), 1),
        (View({"luma": FrameRequest(1)}, chunk_seconds=Fraction(1, 2)), 2),
        (View({"luma": FrameRequest(0, "all")}), 25),
        (CountedView({"luma": FrameRequest(0, "all")}, VARIANTS["full"]), 1),
    ],
)
def test_bytes_of_features_follow_from_the_view(view, items):
    encoder = FragileEncoder()
    encoder.view = view
    assert bytes_per_second(encoder, fps=25.0) == items * 4 * 4


@pytest.mark.parametrize(("variant", "rows"), [("light720-6fps", 6), ("full", 15)])
def test_an_encoder_that_finishes_says_how_many_items_there_are(variant, rows):
    both = ("features", "frames")
    settings = EncoderSettings(name="videval", kind="videval", dtype="float32", variant=variant, streams=both)
    assert bytes_per_second(VidevalEncoder(settings), fps=30.0) == 60 * 4 + rows * 50 * 4
