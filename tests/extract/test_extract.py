import gc
import os
from contextlib import closing

import numpy as np
import pytest
from extraction import recipe, run_job
from fragile_encoder import DeviceEncoder, FragileEncoder
from small_videos import cut_in_half, encode

from config.schema import EncoderSettings
from extract.encoders.arrays import Overflow
from extract.encoders.registry import build_encoder
from extract.errors import EncoderError, UnreadableVideo
from extract.executors.local import LocalExecutor
from extract.job.job import ExtractionJob, default_workers
from extract.run.batching import Batcher, DeviceThreads
from extract.run.extractor import Extractor, extract_features
from extract.tasks import Extracted, VideoTask
from extract.video.decode import decode
from extract.video.view import Chunk
from store.features import FeatureStore

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


def stored(store, encoder):
    return FeatureStore(store).find("set", encoder)


def expected(encoder, path):
    """Stream → features, straight from the encoder, a chunk at a time."""
    made = [encoder.encode([chunk])[0] for _, chunk in decode(path, {"it": encoder.view})]
    return {stream: np.concatenate([features[stream] for features in made]) for stream in encoder.streams}


def test_stored_features_are_what_the_encoders_give_for_the_decoded_chunks(tmp_path, encoders, videos):
    job, summary = run_job(tmp_path, encoders, videos)
    assert (summary.done, summary.already, summary.chunks) == (3, 0, 6)
    for name, encoder in encoders.items():
        features = stored(tmp_path, name)
        assert features.videos() == ["v1", "v2", "v3"]
        assert features.key == job.sets[name].key
        for stream, array in expected(encoder, videos["v3"]).items():
            shape = encoder.streams[stream]
            assert (array.shape[1:], array.dtype) == (shape.shape, shape.dtype)
            np.testing.assert_array_equal(features.read("v3", stream), array)
        assert features.meta("v2")["duration_seconds"] == pytest.approx(2.0)
        assert features.meta("v2")["file_bytes"] == videos["v2"].stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_summary_counts_what_was_read_and_written(tmp_path, encoders, videos, workers):
    one = {name: encoders[name] for name in ("clip", "mean")}
    _, summary = run_job(tmp_path, one, videos, workers=workers)
    sets = [stored(tmp_path, name) for name in one]
    assert summary.feature_bytes == sum(features.size_bytes for features in sets)
    assert summary.source_bytes == sum(videos[video].stat().st_size for video in sets[0].videos())
    assert summary.video_seconds == pytest.approx(6.0)
    phases = summary.phase_seconds
    assert {"decode", "resize", "encode in workers", "encode", "wait for decoding", "write"} <= phases.keys()
    assert summary.device_busy_share == pytest.approx(phases["encode"] / phases["run"], abs=0.01)
    assert "of the time" in "\n".join(summary.lines())
    assert summary.as_json()["videos_per_second"] == pytest.approx(3 / summary.seconds, rel=0.01)


def test_unreadable_videos_are_quarantined_with_reasons_and_skipped_until_asked_for(
    tmp_path, encoders, videos
):
    mean = {"mean": encoders["mean"]}
    job, summary = run_job(tmp_path, mean, videos)
    assert {v: r.kind for v, r in summary.quarantined.items()} == {"half": "truncated", "empty": "empty_file"}
    assert str(videos["half"]) in summary.quarantined["half"].reason
    _, again = run_job(tmp_path, mean, videos)
    assert (again.done, again.already, again.newly_quarantined, len(again.quarantined)) == (0, 3, 0, 2)
    assert job.pending(videos) == []
    assert {task.video for task in job.pending(videos, retry_quarantined=True)} == {"half", "empty"}
    repaired = {**videos, "half": videos["v1"]}
    _, last = run_job(tmp_path, mean, repaired, retry_quarantined=True)
    assert (last.done, last.newly_quarantined) == (1, 1)
    assert "half" in stored(tmp_path, "mean")
    assert [entry.video for entry in stored(tmp_path, "mean").quarantine.entries()] == ["empty"]


def test_a_second_encoder_is_computed_without_the_first(tmp_path, encoders, videos):
    run_job(tmp_path, {"clip": encoders["clip"]}, videos)
    job = ExtractionJob(recipe(tmp_path), {k: encoders[k] for k in ("clip", "mean")})
    assert {task.video: task.encoders for task in job.pending(videos)} == dict.fromkeys(videos, ("mean",))


def test_features_do_not_depend_on_workers_batches_or_the_other_videos(tmp_path, encoders, videos):
    for video in videos:
        run_job(tmp_path / "one by one", encoders, {video: videos[video]})
    settings = encoders["clip"].settings.model_copy(update={"batch": 4})
    batched = {**encoders, "clip": build_encoder(settings)}
    run_job(tmp_path / "together", batched, dict(reversed(videos.items())), workers=2)
    for name, encoder in encoders.items():
        one, other = stored(tmp_path / "one by one", name), stored(tmp_path / "together", name)
        assert one.videos() == other.videos() == ["v1", "v2", "v3"]
        for video in one.videos():
            assert one.meta(video) == other.meta(video)
            for stream in encoder.streams:
                found = other.read(video, stream)
                if name == "clip":
                    np.testing.assert_allclose(found, one.read(video, stream), rtol=2e-2, atol=2e-3)
                else:
                    np.testing.assert_array_equal(found, one.read(video, stream))
        refused = [{e.video: (e.error_type, e.reason) for e in s.quarantine.entries()} for s in (one, other)]
        assert refused[0] == refused[1]
        assert refused[0].keys() == {"half", "empty"}


def test_chunks_of_different_videos_share_full_batches(tmp_path, videos):
    encoder = DeviceEncoder(batch=4)
    run_job(
        tmp_path, {"mean": encoder}, {f"{n}/{v}": videos[v] for v in ("v1", "v2", "v3") for n in range(3)}
    )
    reference, *batches = encoder.batches
    assert (reference, batches) == (1, [4, 4, 4, 4, 2])
    for video in ("v1", "v2", "v3"):
        for n in range(3):
            one = stored(tmp_path, "mean").read(f"{n}/{video}", "mean")
            np.testing.assert_array_equal(one, expected(encoder, videos[video])["mean"])


class NotFinite(FragileEncoder):
    """Gives a NaN for the second chunk of a video."""

    def encode(self, chunks):
        (features,) = super().encode(chunks)
        if chunks[0].index == 1:
            features["mean"][0, 0] = np.nan
        return [features]


def test_a_video_whose_features_may_not_be_stored_fails_alone(tmp_path, videos):
    _, summary = run_job(tmp_path, {"mean": NotFinite()}, {v: videos[v] for v in ("v1", "v2", "v3")})
    assert (summary.done, summary.newly_quarantined) == (1, 2)
    assert {refusal.kind for refusal in summary.quarantined.values()} == {"defect"}
    assert stored(tmp_path, "mean").videos() == ["v1"]


class Overflowing(DeviceEncoder):
    """Has features that do not fit for white frames, whichever chunks are beside them."""

    def encode(self, chunks):
        if max(chunk.frames["luma"].max() for chunk in chunks) > 250:
            raise Overflow("features up to 1e+06 do not fit into float16; set its dtype to float32")
        return super().encode(chunks)


@pytest.mark.parametrize("workers", [0, 1])
def test_features_that_overflow_cost_their_video_and_none_that_shares_its_batch(tmp_path, videos, workers):
    white = encode(tmp_path / "w.mp4", frames=60, rate=20, picture=np.full((64, 96, 3), 255, np.uint8))
    files = {"v1": videos["v1"], "white": white, "v2": videos["v2"], "v3": videos["v3"]}
    encoders = {"mean": FragileEncoder(), "device": Overflowing(batch=4)}
    _, summary = run_job(tmp_path / "store", encoders, files, workers=workers)
    assert (summary.done, summary.newly_quarantined) == (3, 1)
    refusal = summary.quarantined["white"]
    assert refusal.kind == "overflow"
    assert str(white) in refusal.reason
    assert "set its dtype to float32" in refusal.reason
    for video in ("v1", "v2", "v3"):
        found = stored(tmp_path / "store", "device").read(video, "mean")
        np.testing.assert_array_equal(found, expected(FragileEncoder(), videos[video])["mean"])


def test_names_that_cannot_be_stored_cost_nobody_else_a_result(tmp_path, videos):
    folder = tmp_path / "videos"
    folder.mkdir()
    odd = {}
    for name in ("line\nbreak.mp4", os.fsdecode(b"latin-\xe9.mp4")):
        odd[name] = folder / name
        odd[name].write_bytes(videos["v1"].read_bytes())
    files = {"v1": videos["v1"], **odd, "v2": videos["v2"]}
    _, summary = run_job(tmp_path / "store", {"mean": FragileEncoder()}, files)
    assert {"v1", "v2"} <= set(stored(tmp_path / "store", "mean").videos())
    assert summary.done + summary.newly_quarantined == 4
    _, again = run_job(tmp_path / "store", {"mean": FragileEncoder()}, files)
    assert again.already >= 2


class OneStreamRefused(FragileEncoder):
    """Gives a NaN, always, for real videos."""

    def specification(self):
        return {"kind": "refused"}

    def encode(self, chunks):
        return [{"mean": np.full((1, 4), np.nan, np.float32)} for _ in chunks]


def test_a_refused_encoder_does_not_cost_the_others_their_features(tmp_path, videos):
    encoders = {"first": OneStreamRefused(), "second": FragileEncoder()}
    _, summary = run_job(tmp_path, encoders, {"v1": videos["v1"]})
    assert summary.newly_quarantined == 1
    assert stored(tmp_path, "second").videos() == ["v1"]
    assert stored(tmp_path, "second").quarantine.entries() == []


class InterruptedEncoder(DeviceEncoder):
    """Ctrl-C arrives while the fourth chunk of a video is encoded."""

    def encode(self, chunks):
        if len(self.batches) == 4:
            raise KeyboardInterrupt
        return super().encode(chunks)


def test_an_interrupted_job_keeps_the_videos_that_were_finished(tmp_path, videos):
    three = {video: videos[video] for video in ("v1", "v2", "v3")}
    with pytest.raises(KeyboardInterrupt):
        run_job(tmp_path, {"mean": InterruptedEncoder()}, three)
    assert stored(tmp_path, "mean").videos() == ["v1", "v2"]


def test_what_was_encoded_before_a_failure_is_given_before_it_is_raised():
    class Failing(DeviceEncoder):
        def encode(self, chunks):
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return super().encode(chunks)

    chunks = [Chunk(number, number, {"luma": np.zeros((4, 8, 8), np.uint8)}) for number in range(3)]
    with closing(DeviceThreads("cpu")) as threads:
        batcher = Batcher(Failing(), threads)
        for owner, chunk in zip("abc", chunks, strict=True):
            batcher.put(owner, chunk)
        batcher.finish()
        assert [owner for owner, *_ in batcher.results()] == ["a", "b"] and batcher.waits
        with pytest.raises(KeyboardInterrupt):
            list(batcher.results())
        assert not batcher.waits


def test_what_is_finished_is_stored_when_nobody_reads_the_outcomes_to_the_end(tmp_path, encoders, videos):
    tasks = [VideoTask(video, videos[video], ("mean",)) for video in ("v1", "v2", "v3")]
    with Extractor(recipe(tmp_path, workers=1), "cpu", {"mean": encoders["mean"]}) as extractor:
        outcomes = extractor.extract(tasks)
        first = next(outcomes)
        outcomes.close()
        assert first.task.video in stored(tmp_path, "mean")
        rest = [task for task in tasks if task.video not in stored(tmp_path, "mean")]
        assert {outcome.task for outcome in extractor.extract(rest)} == set(rest)
    assert stored(tmp_path, "mean").videos() == ["v1", "v2", "v3"]


def test_finished_videos_are_committed_before_the_others_are_begun(tmp_path, encoders, videos):
    tasks = [
        VideoTask(f"{video}/{n}", videos[video], ("mean",)) for n in range(9) for video in ("v1", "empty")
    ]
    with Extractor(recipe(tmp_path, commit_seconds=0), "cpu", {"mean": encoders["mean"]}) as extractor:
        for outcome in extractor.extract(tasks):
            if isinstance(outcome, Extracted):
                assert outcome.task.video in stored(tmp_path, "mean")
            else:
                assert outcome.task.video in {e.video for e in stored(tmp_path, "mean").quarantine.entries()}


def test_outcomes_that_nobody_waits_for_are_committed_by_the_garbage_collector(tmp_path, encoders, videos):
    executor = LocalExecutor(recipe(tmp_path), "cpu", {"mean": encoders["mean"]})
    outcomes = executor.run([VideoTask(video, videos[video], ("mean",)) for video in ("v1", "v2", "v3")])
    next(outcomes)
    ring = [outcomes]
    ring.append(ring)
    del outcomes, ring, executor
    gc.collect()
    assert "v1" in stored(tmp_path, "mean")


def test_features_of_files_without_a_store(encoders, videos):
    paths = [videos["v2"], videos["empty"], videos["v2"]]
    first, second, third = extract_features(paths, encoders)
    assert isinstance(second, UnreadableVideo)
    assert "zero bytes" in str(second)
    assert first.features["clip"]["tokens"].shape == (2, 256, 16)
    np.testing.assert_array_equal(first.features["slowfast"]["slow"], third.features["slowfast"]["slow"])


def test_imported_features_cannot_be_extracted():
    with pytest.raises(EncoderError, match="store import"):
        build_encoder(EncoderSettings(name="videval", kind="external"))


def test_models_on_a_cpu_leave_its_cores_to_themselves():
    assert default_workers(models_on_cpu=True) == 1
    assert default_workers(models_on_cpu=False) >= 2 * default_workers(models_on_cpu=False, devices=2) - 1
