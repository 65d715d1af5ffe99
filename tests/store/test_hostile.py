"""Odd ids, odd disks, odd files and many writers: nothing is written elsewhere, nothing committed is lost."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_writers import videos_of
from odd_disks import read_only, small_disk
from stored_videos import assert_holds, feature_set, features_of, marker_of, write
from typer.testing import CliRunner

from store.__main__ import app
from store.care.verify import verify
from store.errors import (
    DamagedMarker,
    DamagedPart,
    FeaturesNotFound,
    VideoNotStored,
    WriteFailed,
)
from store.features import FeatureStore
from store.format.marker import read_meta
from store.ids import storable_id
from store.labels.resolve import resolve, video_id

LOOK_ALIKES = [
    "caf\u00e9",
    "cafe\u0301",
    "\u0441afé",
    "CAFÉ",
    "café ",
    "cafe",
    "ﬁlm",
    "film",
    "a/b",
    "a\\b",
    "a%2Fb",
]


def test_ids_that_look_alike_stay_different(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, LOOK_ALIKES)
    again = feature_set(tmp_path)
    assert again.videos() == sorted(LOOK_ALIKES)
    assert_holds(again, LOOK_ALIKES)
    assert len({features.subset_hash([video]) for video in LOOK_ALIKES}) == len(LOOK_ALIKES)


HOSTILE = st.text(min_size=1, max_size=300) | st.builds(
    "".join, st.lists(st.sampled_from(["..", "/", "\\", "~", "part-", ".json", "\0", "\n", "x" * 100, "é"]))
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(ids=st.lists(HOSTILE, min_size=1, max_size=6, unique_by=storable_id).filter(all))
def test_no_id_leaves_the_store_or_collides(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    outer = tmp_path_factory.mktemp("outer")
    features = feature_set(outer / "store")
    with features.writer() as writer:
        for video in ids:
            writer.add(video, features_of(video))
    assert [path.name for path in outer.iterdir()] == ["store"]
    again = feature_set(outer / "store")
    assert again.videos() == sorted(map(storable_id, ids))
    assert_holds(again, ids)
    assert all(video in again for video in ids)
    assert {path.name for path in features.path.iterdir()} == {"feature.json", "parts-00000"}


@settings(max_examples=200, deadline=None)
@given(name=st.binary(min_size=1, max_size=255))
def test_any_file_name_gives_an_id_of_one_visible_line_and_comes_back_from_it(name: bytes) -> None:
    text = os.fsdecode(name)
    video = storable_id(text)
    assert video.strip() and len(video.splitlines()) == 1 and video.encode("utf-8")
    assert storable_id(video) == video
    if "%" not in text:
        assert unquote(video, errors="surrogateescape") == text


def test_labels_and_files_of_odd_names_meet_stored_features(tmp_path: Path) -> None:
    names = ["day\n1/a\tb.mp4", os.fsdecode(b"caf\xe9.mp4")]
    features = feature_set(tmp_path)
    write(features, [video_id(name) for name in names])
    assert features.videos() == ["caf%E9", "day%0A1/a%09b"]
    assert resolve(names, features.videos()).missing == []


def test_an_id_that_is_too_long_is_cut_and_stays_itself() -> None:
    one, other = storable_id("x" * 20_000), storable_id("x" * 20_001)
    assert len(one) < 1100 and one != other and storable_id(one) == one


def test_ids_of_odd_file_names_are_listed_read_and_quarantined(tmp_path: Path) -> None:
    odd = ["a\nb", os.fsdecode(b"caf\xe9"), "\x1b[2J", "a\u2028b", "y" * 4000]
    features = feature_set(tmp_path)
    write(features, odd)
    assert_holds(feature_set(tmp_path), odd)
    assert "caf%E9" in features and os.fsdecode(b"caf\xe9") in features
    for video in odd:
        features.quarantine.add(video, "reason", "kind", video)
    assert len(features.quarantine) == len(odd)
    shown = CliRunner().invoke(app, ["show", "demo/random", "--store", str(tmp_path)])
    assert shown.exit_code == 0 and "a%0Ab" in shown.output
    features.quarantine.remove(odd)
    assert feature_set(tmp_path).quarantine.entries() == []


def test_a_full_disk_stops_the_writer_and_keeps_what_was_committed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2_000_000) as disk:
        features = FeatureStore(disk).feature_set("demo", "random", {})
        megabyte = np.ones((1, 250_000), np.float32)
        with features.writer() as writer:
            writer.add("kept", {"x": megabyte})
            writer.flush()
            with pytest.raises(
                WriteFailed, match=r"'lost': No space left on device.*Committed videos are safe"
            ):
                writer.add("lost", {"x": 2 * megabyte})
                writer.flush()
        again = FeatureStore(disk).find("demo", "random")
        assert again.videos() == ["kept"] and verify(again) == []
        assert again.clean() == []


def test_a_read_only_folder_is_read_and_says_that_it_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    write(feature_set(folder), ["kept"])
    with read_only(folder):
        features = feature_set(folder)
        with features.writer() as writer, pytest.raises(WriteFailed, match="'new': Read-only file system"):
            writer.add("new", features_of("new"))
        assert_holds(features, ["kept"])
        assert verify(features) == []


def test_a_disk_that_vanishes_is_not_an_empty_store(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2_000_000) as disk:
        features = feature_set(disk / "store")
        write(features, ["kept"])
    with pytest.raises(FeaturesNotFound, match="has gone, with 1 videos: is its disk still mounted"):
        features.refresh()
    with pytest.raises(DamagedPart, match="No such file or directory"):
        features.read("kept", "spatial")
    assert not any((tmp_path / "disk").iterdir())


def test_a_marker_that_cannot_be_read_is_reported_and_its_part_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    features = feature_set(tmp_path)
    write(features, ["hidden"])
    part = features.part_of("hidden")
    marker = marker_of(features, "hidden")
    marker.unlink()
    marker.mkdir()
    again = feature_set(tmp_path)
    with pytest.raises(VideoNotStored, match="1 damaged marker may hide it"):
        again.read("hidden", "spatial")
    assert str(marker) in caplog.text and "It is tried again; check the disk" in caplog.text
    write(again, ["other"])
    assert (features.path / part).is_dir()


@pytest.mark.parametrize("text", ["[{}", "[{},{},{}]", "[1,2]", "[{} {}]"])
def test_meta_data_that_are_not_one_object_a_video_are_refused(text: str) -> None:
    with pytest.raises(DamagedMarker, match="part-a"):
        read_meta("part-a.json", f'{{"meta": {text}}}'.encode(), 2)


def _written_at_once(root: Path, store: Path, writers: int, count: int) -> None:
    program = root / "tests" / "many_writers.py"
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, program, store, str(writers), str(count)]
    subprocess.run(command, check=True, env=environment, timeout=1800)
    features = feature_set(store)
    expected = [video for writer in range(writers) for video in videos_of(writer, count)]
    assert features.videos() == sorted(expected)
    assert_holds(features, expected)
    assert verify(features) == [] and features.clean() == []


@pytest.mark.slow
def test_four_writers_of_a_hundred_videos_each_lose_none(root: Path, tmp_path: Path) -> None:
    _written_at_once(root, tmp_path, 4, 100)


@pytest.mark.soak
def test_eight_writers_of_two_thousand_videos_each_lose_none(root: Path, tmp_path: Path) -> None:
    _written_at_once(root, tmp_path, 8, 2000)
