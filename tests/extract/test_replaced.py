"""Videos that are replaced on disk, and other spellings of their names."""

import os

import numpy as np
import pytest
from extraction import recipe, run_job
from fragile_encoder import DeviceEncoder, FragileEncoder
from small_videos import encode

from extract.encoders.arrays import Overflow
from extract.job.job import ExtractionJob, OutdatedFeatures
from extract.location import replaced
from store.features import FeatureStore

MEAN = {"mean": FragileEncoder()}


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    return {
        name: encode(folder / f"{name}.mp4", frames=20 * n, rate=20)
        for n, name in enumerate(("a", "b"), start=1)
    }


def features(tmp_path, encoder="mean"):
    return FeatureStore(tmp_path / "store").find("set", encoder)


def replace(path):
    """Another picture under the same name."""
    return encode(path, frames=40, rate=20, picture=np.full((64, 96, 3), 200, np.uint8))


def test_a_replaced_video_is_named_and_extracted_anew_when_asked_for(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    before = features(tmp_path).read("a", "mean")
    replace(videos["a"])
    _, summary = run_job(tmp_path / "store", MEAN, videos)
    assert (summary.done, summary.already, summary.outdated) == (
        0,
        2,
        {"a": "its file has been replaced"},
    )
    np.testing.assert_array_equal(features(tmp_path).read("a", "mean"), before)
    assert "a (its file has been replaced); add --refresh" in str(OutdatedFeatures(summary.outdated))
    _, summary = run_job(tmp_path / "store", MEAN, videos, refresh=True)
    assert (summary.done, summary.already, summary.outdated) == (1, 1, {})
    assert features(tmp_path).read("a", "mean").mean() > 150
    assert run_job(tmp_path / "store", MEAN, videos)[1].outdated == {}


def test_a_replacement_of_the_same_size_is_seen_by_its_content(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    content = bytearray(videos["b"].read_bytes())
    content[-1] ^= 1
    videos["b"].write_bytes(content)
    assert set(run_job(tmp_path / "store", MEAN, videos)[1].outdated) == {"b"}


def test_a_video_that_was_only_touched_or_copied_is_not_outdated(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    os.utime(videos["a"], (1, 1))
    assert run_job(tmp_path / "store", MEAN, videos)[1].outdated == {}


def test_a_file_of_the_same_size_and_time_is_not_read(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    meta = features(tmp_path).meta("a")
    assert not replaced({**meta, "file_sample": "another"}, videos["a"])
    assert replaced({**meta, "file_sample": "another", "file_modified": "1"}, videos["a"])


def test_features_without_a_record_and_videos_that_are_away_are_accepted(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    meta = features(tmp_path).meta("a")
    assert not replaced({}, videos["a"])
    assert not replaced({"file_bytes": meta["file_bytes"]}, videos["a"])
    videos["a"].unlink()
    _, summary = run_job(tmp_path / "store", MEAN, videos)
    assert (summary.already, summary.outdated) == (2, {})


def test_a_replacement_that_cannot_be_read_stays_outdated_and_quarantined(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    videos["a"].write_bytes(b"no video at all")
    for _ in range(2):
        _, summary = run_job(tmp_path / "store", MEAN, videos, refresh=True)
        assert summary.outdated.keys() == summary.quarantined.keys() == {"a"}
    replace(videos["a"])
    _, summary = run_job(tmp_path / "store", MEAN, videos, refresh=True)
    assert (summary.outdated, summary.quarantined) == ({}, {})


def test_another_spelling_of_a_label_extracts_nothing_again(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    spelt = {f"batch1/{name}.mp4": path for name, path in videos.items()}
    _, summary = run_job(tmp_path / "store", MEAN, spelt)
    assert (summary.done, summary.already) == (0, 2)


def test_a_second_encoder_stores_a_video_under_the_id_that_the_first_has(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    both = {**MEAN, "device": DeviceEncoder()}
    spelt = {f"batch1/{name}": path for name, path in videos.items()}
    job = ExtractionJob(recipe(tmp_path / "store"), both)
    assert [(task.video, task.encoders) for task in job.pending(spelt)] == [
        ("a", ("device",)),
        ("b", ("device",)),
    ]


class Refuses(DeviceEncoder):
    """Has no features for any video."""

    def encode(self, chunks):
        raise Overflow(f"{len(chunks)} chunks do not fit")


def test_a_refusal_under_the_id_that_another_encoder_has_counts_and_is_tried_again(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    spelt = {f"batch1/{name}.mp4": path for name, path in videos.items()}
    for newly in (2, 0):
        _, summary = run_job(tmp_path / "store", {**MEAN, "device": Refuses()}, spelt)
        assert (summary.newly_quarantined, summary.already) == (newly, 0)
        assert summary.quarantined.keys() == spelt.keys()
    both = {**MEAN, "device": DeviceEncoder()}
    _, summary = run_job(tmp_path / "store", both, spelt, retry_quarantined=True)
    assert (summary.done, summary.quarantined) == (2, {})
    assert features(tmp_path, "device").videos() == ["a", "b"]
    assert features(tmp_path, "device").quarantine.entries() == []


def test_a_stored_video_leaves_the_quarantine_when_the_refused_are_tried_again(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    features(tmp_path).quarantine.add("a", "was away", "missing_file")
    _, summary = run_job(tmp_path / "store", MEAN, videos)
    assert (summary.already, list(summary.quarantined)) == (1, ["a"])
    _, summary = run_job(tmp_path / "store", MEAN, videos, retry_quarantined=True)
    assert summary.quarantined == {}


def test_a_refresh_looks_at_each_file_once_before_it_is_extracted(tmp_path, videos, monkeypatch):
    run_job(tmp_path / "store", MEAN, videos)
    looked = []
    monkeypatch.setattr(
        "extract.job.stored.replaced", lambda meta, path: looked.append(path) or replaced(meta, path)
    )
    run_job(tmp_path / "store", MEAN, videos, refresh=True)
    assert sorted(looked) == sorted(videos.values())


def test_a_like_name_of_another_file_is_another_video(tmp_path, videos):
    run_job(tmp_path / "store", MEAN, videos)
    other = encode(tmp_path / "a.mp4", frames=50, rate=20)
    _, summary = run_job(tmp_path / "store", MEAN, {"batch2/a": other})
    assert summary.done == 1
    assert features(tmp_path).videos() == ["a", "b", "batch2/a"]
