import json
import os
import pickle
import signal
import subprocess
import sys
import time
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from fragile_encoder import FragileEncoder
from small_videos import cut_in_half, encode
from typer.testing import CliRunner

from config.schema import EncoderSettings
from extract.__main__ import app
from extract.decode import decode
from extract.encoders.base import FrameRequest
from extract.encoders.registry import build_encoder
from extract.encoding import EncodedVideo, FailedVideo, encode_videos
from extract.errors import EncoderError, NoVideos, UnreadableVideo
from extract.job import ExtractionJob, default_workers
from extract.memory import extract_features
from extract.transport import fits_shared_memory, share
from extract.worker import VideoTask
from store.features import FeatureStore

ROOT = Path(__file__).parents[1]
TINY_CLIP = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TINY_SLOWFAST = {"model_depth": 18, "stem_dim_outs": [8, 2], "slowfast_channel_reduction_ratio": [4]}


@pytest.fixture(scope="module")
def encoders():
    clip = EncoderSettings(name="clip", kind="clip", weights="random:0", architecture=TINY_CLIP)
    slowfast = EncoderSettings(
        name="slowfast", kind="slowfast", weights="random:0", architecture=TINY_SLOWFAST, input_size=32
    )
    return {"clip": build_encoder(clip), "slowfast": build_encoder(slowfast), "mean": FragileEncoder()}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Video id → file: three videos of different length, a truncated and an empty one."""
    folder = tmp_path_factory.mktemp("videos")
    files = {f"v{n}": encode(folder / f"v{n}.mp4", frames=20 * n, rate=20) for n in (1, 2, 3)}
    faststart = encode(folder / "whole.mkv", frames=60, rate=20)
    files["half"] = cut_in_half(faststart, folder / "half.mkv")
    files["empty"] = folder / "empty.mp4"
    files["empty"].touch()
    faststart.unlink()
    return files


def run_job(store, encoders, videos, **options):
    job = ExtractionJob(FeatureStore(store), "set", encoders)
    return job, job.run(videos, quiet=True, **options)


def test_stored_features_are_what_the_encoders_give_for_the_decoded_chunks(tmp_path, encoders, videos):
    job, summary = run_job(tmp_path, encoders, videos, block_chunks=2)
    assert (summary.done, summary.already, summary.chunks) == (3, 0, 6)
    for name, encoder in encoders.items():
        stored = FeatureStore(tmp_path).find("set", name)
        assert stored.videos() == ["v1", "v2", "v3"]
        assert stored.key == job.sets[name].key
        chunks = list(decode(videos["v3"], encoder.requests))
        blocks = [encoder.encode(chunks[:2]), encoder.encode(chunks[2:])]
        for stream, shape in encoder.streams.items():
            expected = np.concatenate([block[stream] for block in blocks])
            assert expected.shape == (3, *shape.shape)
            assert expected.dtype == shape.dtype
            np.testing.assert_array_equal(stored.read("v3", stream), expected)
        assert stored.meta("v2")["duration_seconds"] == pytest.approx(2.0)


def test_unreadable_videos_are_quarantined_with_reasons_and_skipped_until_asked_for(
    tmp_path, encoders, videos
):
    mean = {"mean": encoders["mean"]}
    job, summary = run_job(tmp_path, mean, videos)
    assert {v: r.kind for v, r in summary.quarantined.items()} == {"half": "truncated", "empty": "empty_file"}
    assert str(videos["half"]) in summary.quarantined["half"].reason
    _, again = run_job(tmp_path, mean, videos)
    assert (again.done, again.already, again.newly_quarantined, len(again.quarantined)) == (0, 3, 0, 2)
    job.release_quarantined(["half"])
    assert [task.video for task in job.pending(videos)] == ["half"]
    repaired = {**videos, "half": videos["v1"]}
    assert job.run(repaired, quiet=True).done == 1
    assert "half" in FeatureStore(tmp_path).find("set", "mean")


def test_a_second_encoder_is_computed_without_the_first(tmp_path, encoders, videos):
    run_job(tmp_path, {"clip": encoders["clip"]}, videos)
    job = ExtractionJob(FeatureStore(tmp_path), "set", {k: encoders[k] for k in ("clip", "mean")})
    assert {task.video: task.encoders for task in job.pending(videos)} == dict.fromkeys(videos, ("mean",))


def test_features_do_not_depend_on_workers_or_on_the_other_videos(encoders, videos):
    tasks = [VideoTask(video, path, tuple(encoders)) for video, path in videos.items()]
    one_by_one = {
        task.video: result for task in tasks for result in encode_videos([task], encoders, workers=0)
    }
    spawned = {result.task.video: result for result in encode_videos(tasks, encoders, workers=2)}
    assert spawned.keys() == one_by_one.keys()
    for video, result in one_by_one.items():
        other = spawned[video]
        if isinstance(result, FailedVideo):
            assert (other.kind, other.message) == (result.kind, result.message)
            continue
        assert other.info == result.info
        for encoder, streams in result.features.items():
            for stream, array in streams.items():
                np.testing.assert_array_equal(other.features[encoder][stream], array)


def test_a_crashing_decoder_takes_only_its_own_video_along(tmp_path):
    dark = {f"v{n}": encode(tmp_path / f"v{n}.mp4", frames=20, rate=20) for n in range(2)}
    white = np.full((64, 96, 3), 255, np.uint8)
    files = {**dark, "crash": encode(tmp_path / "crash.mp4", frames=20, rate=20, picture=white)}
    tasks = [VideoTask(video, files[video], ("mean",)) for video in ("crash", *dark)]
    results = {r.task.video: r for r in encode_videos(tasks, {"mean": FragileEncoder(250)}, workers=1)}
    assert isinstance(results["crash"], FailedVideo)
    assert results["crash"].kind == "crash"
    assert all(isinstance(results[video], EncodedVideo) for video in dark)


class InterruptedEncoder(FragileEncoder):
    """Ctrl-C arrives while the third video is encoded."""

    in_worker = False

    def encode(self, chunks):
        self.videos = getattr(self, "videos", 0) + 1
        if self.videos == 3:
            raise KeyboardInterrupt
        return super().encode(chunks)


def test_an_interrupted_job_keeps_the_videos_that_were_finished(tmp_path, videos):
    with pytest.raises(KeyboardInterrupt):
        run_job(tmp_path, {"mean": InterruptedEncoder()}, videos)
    assert FeatureStore(tmp_path).find("set", "mean").videos() == ["v1", "v2"]


def test_pictures_come_through_shared_memory_as_they_were(encoders, videos):
    requests = {**encoders["clip"].requests, **encoders["mean"].requests}
    chunks = list(decode(videos["v2"], requests))
    opened = pickle.loads(ForkingPickler.dumps(share(chunks))).open()
    assert [(c.index, c.start_seconds) for c in opened] == [(0, 0.0), (1, 1.0)]
    for one, other in zip(chunks, opened, strict=True):
        assert all(np.array_equal(one.frames[name], other.frames[name]) for name in requests)


def test_shared_memory_is_used_only_for_pictures_that_surely_fit():
    assert not fits_shared_memory([FrameRequest(1, "first", (224, 224))], chunks_in_flight=10**9)
    assert not fits_shared_memory([FrameRequest(1, "first", None)], chunks_in_flight=1)


KILLED = """
import sys
from pathlib import Path
from fragile_encoder import FragileEncoder
from extract.job import ExtractionJob
from store.features import FeatureStore
store, folder = Path(sys.argv[1]), Path(sys.argv[2])
videos = {f"v{n:03}": folder / "v3.mp4" for n in range(400)}
job = ExtractionJob(FeatureStore(store), "set", {"mean": FragileEncoder()})
job.run(videos, commit_seconds=0, quiet=True)
"""


def test_a_killed_job_is_resumed_where_it_was(tmp_path, encoders, videos):
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(videos["v3"].parent)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    deadline = time.monotonic() + 20
    while len(list(tmp_path.glob("set/*/part-*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = FeatureStore(tmp_path).find("set", "mean").videos()
    assert 3 <= len(before) < 400
    rest = {f"v{n:03}": videos["v3"] for n in range(len(before) + 5)}
    _, summary = run_job(tmp_path, {"mean": encoders["mean"]}, rest)
    assert (summary.already, summary.done) == (len(before), 5)
    stored = FeatureStore(tmp_path).find("set", "mean")
    expected = encoders["mean"].encode(list(decode(videos["v3"], encoders["mean"].requests)))["mean"]
    for video in rest:
        np.testing.assert_array_equal(stored.read(video, "mean"), expected)


def test_features_of_files_without_a_store(encoders, videos):
    paths = [videos["v2"], videos["empty"], videos["v2"]]
    first, second, third = extract_features(paths, encoders)
    assert isinstance(second, UnreadableVideo)
    assert "zero bytes" in str(second)
    assert first["clip"]["tokens"].shape == (2, 256, 16)
    np.testing.assert_array_equal(first["slowfast"]["slow"], third["slowfast"]["slow"])


@pytest.fixture
def command(tmp_path, videos):
    """Options of a command on a dataset of the videos, one more label and one more file."""
    rows = ["video,mos,content", *(f"{video}.mp4,50,c" for video in videos), "withdrawn.mp4,50,c"]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    folder = tmp_path / "videos"
    folder.mkdir()
    for path in videos.values():
        (folder / path.name).symlink_to(path)
    (folder / "unlabelled.mp4").symlink_to(videos["v1"])
    values = {
        "datasets.demo.videos": str(folder),
        "datasets.demo.labels": str(tmp_path / "labels.csv"),
        "store.path": str(tmp_path / "features"),
        "encoders.clip-vit-l14.weights": "random:0",
        "encoders.slowfast-r50.weights": "random:0",
        "encoders.clip-vit-l14.architecture": "{"
        + ", ".join(f"{k} = {v}" for k, v in TINY_CLIP.items())
        + "}",
        "encoders.slowfast-r50.architecture": "{ model_depth = 18, stem_dim_outs = [16, 2] }",
        "encoders.slowfast-r50.grid": "[2, 2, 2]",
        "encoders.slowfast-r50.input_size": "64",
    }
    options = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    return ["demo", "--pipeline", "lmm-vqa", "--config", str(ROOT / "pipelines.toml"), *options]


def test_the_command_reports_everything_and_does_nothing_twice(command, tmp_path):
    first = CliRunner().invoke(app, [*command, "--json"])
    assert first.exit_code == 0, first.output
    summary = json.loads(first.stdout)
    assert (summary["done"], summary["already"]) == (3, 0)
    assert summary["missing"] == ["withdrawn"]
    assert [Path(path).name for path in summary["unlabelled"]] == ["unlabelled.mp4"]
    assert {v: r["kind"] for v, r in summary["quarantined"].items()} == {
        "half": "truncated",
        "empty": "empty_file",
    }
    assert {"decode", "encode", "write"} <= summary["phase_seconds"].keys()
    slow = FeatureStore(tmp_path / "features").find("demo", "slowfast-r50")
    assert slow.read("v3", "slow").shape == (3, 2, 2, 2, 512)
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0
    assert "nothing to extract: the features of 3 videos are reused; 2 in quarantine" in again.stdout
    assert "5 of 6 labelled videos found" in again.stdout
    assert slow.key in again.stdout


def test_the_command_takes_only_as_many_as_asked_for(command):
    done = CliRunner().invoke(app, [*command, "--limit", "2", "--json"])
    assert json.loads(done.stdout)["done"] == 2


def test_absent_videos_come_with_directions(command, tmp_path):
    absent = tmp_path / "none"
    done = CliRunner().invoke(app, [*command, "--set", f"datasets.demo.videos={absent}"])
    assert isinstance(done.exception, NoVideos)
    for direction in (
        "the videos of demo are missing",
        "get them from",
        f"put them in {absent}",
        "make demo",
    ):
        assert direction in str(done.exception)


def test_imported_features_cannot_be_extracted():
    with pytest.raises(EncoderError, match="store import"):
        build_encoder(EncoderSettings(name="videval", kind="external"))


@pytest.mark.parametrize(("videos", "on_cpu", "at_most"), [(1, False, 0), (2, True, 0), (1000, True, 1)])
def test_workers_are_started_where_they_pay(videos, on_cpu, at_most):
    assert default_workers(videos, on_cpu) <= at_most
