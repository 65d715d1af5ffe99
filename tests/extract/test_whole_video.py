"""Encoders that can say only at a video's end what its features are."""

import json
import threading
import time
from typing import ClassVar

import numpy as np
import pytest
from extraction import run_job
from fragile_encoder import Clock, FragileEncoder
from small_videos import encode

from extract.encoders.base import Encoder, StreamShape, WholeVideoEncoder
from extract.errors import CorruptVideo
from extract.job.plan import measured_speed
from extract.run.extractor import extract_features
from extract.tasks import Refused, VideoTask
from extract.video.decode import decode
from extract.workers import beside
from extract.workers.messages import Encoded, Ended, Finished
from extract.workers.worker import video_messages, worker_config
from store.features import FeatureStore


class Ranks(FragileEncoder):
    """Of each second, the rank of its mean luma in the video: `rank` [1]."""

    items_per_second: ClassVar = {"rank": 1.0}

    def __init__(self, fewest: int = 1) -> None:
        super().__init__()
        self.fewest = fewest
        self.streams = {"rank": StreamShape((1,), "float32")}

    def specification(self):
        return {"kind": "ranks"}

    def finish(self, features):
        means = features["mean"].mean(1)  # [chunks]
        if len(means) < self.fewest:
            raise CorruptVideo(f"{len(means)} seconds cannot be ranked")
        return {"rank": np.argsort(np.argsort(means)).astype(np.float32)[:, None]}


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("videos") / "v.mp4", frames=100, rate=20)


@pytest.fixture(scope="module")
def means(video):
    """[5, 4] of the seconds."""
    encoder = FragileEncoder()
    chunks = [chunk for _, chunk in decode(video, {"mean": encoder.view})]
    return np.concatenate([features["mean"] for features in encoder.encode(chunks)])


def test_only_encoders_that_finish_are_asked_to():
    assert isinstance(Ranks(), WholeVideoEncoder)
    assert not isinstance(FragileEncoder(), WholeVideoEncoder)


def test_features_come_once_at_the_end_of_the_video(video, means):
    encoders: dict[str, Encoder] = {"ranks": Ranks(), "mean": FragileEncoder()}
    messages = list(video_messages(VideoTask("v", video, tuple(encoders)), worker_config(encoders)))
    *chunks, finished, ended = messages
    assert isinstance(finished, Finished) and isinstance(ended, Ended)
    expected = means.mean(1).argsort().argsort()[:, None]
    np.testing.assert_array_equal(finished.features["rank"], expected)
    assert ended.seconds["encode in workers"] > 0
    # A sign of life for every chunk: a worker without one for long would be ended.
    given = [message for message in chunks if isinstance(message, Encoded) and message.encoder == "ranks"]
    assert [message.features for message in given] == [{}] * 5
    both = [message for message in chunks if isinstance(message, Encoded) and message.encoder == "mean"]
    np.testing.assert_array_equal(np.concatenate([m.features["mean"] for m in both]), means)


@pytest.mark.parametrize("workers", [0, 1])
def test_they_are_stored_like_any_others(tmp_path, video, means, workers):
    run_job(tmp_path, {"ranks": Ranks(), "mean": FragileEncoder()}, {"v": video}, workers=workers)
    store = FeatureStore(tmp_path)
    ranks = store.find("set", "ranks").read("v", "rank")
    np.testing.assert_array_equal(ranks, means.mean(1).argsort().argsort()[:, None])
    np.testing.assert_array_equal(store.find("set", "mean").read("v", "mean"), means)


def test_they_are_given_without_a_store(video, means):
    (found,) = extract_features([video], {"ranks": Ranks()})
    np.testing.assert_array_equal(found.features["ranks"]["rank"], means.mean(1).argsort().argsort()[:, None])


def test_a_video_that_is_refused_at_its_end_goes_into_quarantine(tmp_path, video):
    task = VideoTask("v", video, ("ranks",))
    *_, last = video_messages(task, worker_config({"ranks": Ranks(fewest=6)}))
    assert last == Refused(task, "corrupt", "5 seconds cannot be ranked")
    _, summary = run_job(tmp_path, {"ranks": Ranks(fewest=6)}, {"v": video})
    assert summary.done == 0
    (entry,) = FeatureStore(tmp_path).find("set", "ranks").quarantine.entries()
    assert entry.video == "v"


def test_the_reference_clip_is_finished_too(tmp_path, video):
    run_job(tmp_path, {"ranks": Ranks()}, {"v": video})
    recorded = json.loads((FeatureStore(tmp_path).find("set", "ranks").path / "reference.json").read_text())
    assert recorded["streams"] == {"rank": [0.0]}


class Slow(Ranks):
    """Takes a fifth of a second of the clock for every second of video."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def encode(self, chunks):
        self.clock.seconds += 0.2 * len(chunks)
        return super().encode(chunks)


def test_their_speed_is_measured_by_chunks(video, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("extract.job.plan.time", clock)
    speed = measured_speed([VideoTask("v", video, ("slow",))], {"slow": Slow(clock)}, "cpu", 1)
    assert speed == pytest.approx(1 / 0.2)


class Overlapping(Ranks):
    """Notes how many chunks are encoded at once; later ones are done sooner."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.at_once: list[int] = []
        self.running = 0

    def encode(self, chunks):
        with self.lock:
            self.running += 1
            self.at_once.append(self.running)
        time.sleep(0.1 - 0.015 * chunks[0].index)
        with self.lock:
            self.running -= 1
        return super().encode(chunks)


def finished(video, encoder: Encoder, threads: int):
    *_, message, _ = video_messages(
        VideoTask("v", video, ("ranks",)), worker_config({"ranks": encoder}, threads)
    )
    assert isinstance(message, Finished)
    return message.features["rank"]


@pytest.mark.parametrize("threads", [1, 3])
def test_several_threads_encode_chunks_at_once_and_keep_their_order(video, means, threads):
    encoder = Overlapping()
    np.testing.assert_array_equal(
        finished(video, encoder, threads), means.mean(1).argsort().argsort()[:, None]
    )
    assert max(encoder.at_once) == threads


def test_large_frames_do_not_wait_in_numbers(video, monkeypatch):
    monkeypatch.setattr(beside, "AHEAD_BYTES", 1)
    encoder = Overlapping()
    finished(video, encoder, 3)
    assert max(encoder.at_once) == 1


def test_an_error_in_a_thread_is_the_video_s(video):
    task = VideoTask("v", video, ("ranks",))

    class Refusing(Ranks):
        def encode(self, chunks):
            raise CorruptVideo(f"no features of {len(chunks)}")

    *_, last = video_messages(task, worker_config({"ranks": Refusing()}, 3))
    assert last == Refused(task, "corrupt", "no features of 1")
    assert not any(thread.name.startswith("encode beside") for thread in threading.enumerate())
