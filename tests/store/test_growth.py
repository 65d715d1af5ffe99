"""A feature set of many parts stays lean: what is counted here does not depend on the machine's speed."""

import json
import pickle
import time
import tracemalloc
import uuid
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from stored_videos import assert_holds, feature_set, features_of, marker_of, write

from store import index as index_module
from store.care.verify import verify
from store.errors import InvalidFeatures
from store.feature_set import FeatureSet
from store.files.folder import Folder
from store.format import layout
from store.format.fingerprint import canonical_json
from store.format.layout import STEP, next_place
from store.format.marker import Marker, StreamRows, marker_bytes, parse_marker, read_meta

META = {"fps": 29.97, "codec": "h264", "warnings": [], "note": '],"part":"part-' + "x" * 300}


def _simulate(features: FeatureSet, parts: int, videos: int) -> None:
    """Markers without parts."""
    features.create()
    for number in range(parts):
        rows = StreamRows(
            (2,), "float16", 96, offsets=list(range(videos)), lengths=[1] * videos, crc32c=[7] * videos
        )
        ids = [f"{number:06}/{row:06}" for row in range(videos)]
        marker = Marker("", "zarr", 0, ids, {"x": rows}, [META] * videos)
        marker.put(features.next_place(), uuid.UUID(int=number).hex)
        features.files.write(marker.file, marker_bytes(marker))


def test_a_large_set_opens_whole_and_takes_few_bytes_a_video(tmp_path: Path) -> None:
    _simulate(feature_set(tmp_path), parts=100, videos=100)
    tracemalloc.start()
    features = feature_set(tmp_path)
    assert len(features) == 10_000
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / 10_000 < 400
    assert features.meta("000099/000099") == META
    assert features.length("000023/000045") == 1


def test_a_commit_reads_no_marker_and_a_refresh_only_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _simulate(feature_set(tmp_path / "large"), parts=300, videos=2)
    read: list[str] = []
    real = index_module.parse_marker
    monkeypatch.setattr(
        index_module, "parse_marker", lambda path, data: read.append(path) or real(path, data)
    )
    features = feature_set(tmp_path / "large")
    assert len(features) == 600 and len(read) == 300
    read.clear()
    with features.writer() as writer:
        writer.add("one", {"x": features_of("one")["temporal"][:, :2].copy()})
    assert read == [] and len(features) == 601
    features.refresh()
    assert read == []


def test_a_writer_needs_no_index(tmp_path: Path) -> None:
    write(feature_set(tmp_path), ["a"])
    features = feature_set(tmp_path)
    with features.writer() as writer:
        with pytest.raises(InvalidFeatures, match="expected spatial, temporal"):
            writer.add("bad", {"x": np.ones((1, 2), np.float32)})
        writer.add("b", features_of("b"))
    assert "index" not in vars(features)
    assert_holds(features, ["a", "b"])


def test_a_marker_reads_back_equal_both_ways_and_is_written_the_same(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with features.writer(provenance={"torch": "2.13", '],"part":"': 1}) as writer:
        for video in "abc":
            writer.add(video, features_of(video), META)
    (file,) = features.path.glob("parts-*/part-*.json")
    data = file.read_bytes()
    path = str(file.relative_to(features.path))
    marker, spaced = (parse_marker(path, text) for text in (data, data.replace(b',"', b', "')))
    assert marker.provenance == {"torch": "2.13", '],"part":"': 1}
    for found in (marker, pickle.loads(pickle.dumps(marker)), spaced):
        found.meta = read_meta(path, data, 3)
        assert found.meta == [META] * 3
        assert marker_bytes(found) == data


@pytest.fixture
def _small_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "PARTS_IN_FOLDER", 10)


@pytest.mark.usefixtures("_small_folders")
def test_parts_lie_in_folders_and_a_commit_lists_the_newest_alone(tmp_path: Path) -> None:
    _simulate(feature_set(tmp_path), parts=21, videos=1)
    features = feature_set(tmp_path)
    folders = sorted(path.name for path in features.path.glob("parts-*"))
    assert folders == ["parts-00000", "parts-00001", "parts-00002"]
    assert len(list((features.path / "parts-00000").iterdir())) == 10
    listed: list[str] = []

    def names(folder: str) -> list[str]:
        listed.append(folder)
        return features.files.names(folder)

    place = next_place(names, lambda: 0)
    assert listed == ["", "parts-00002", "parts-00001"]
    assert place.folder == "parts-00002"
    assert place.sequence >= features.index.latest[0] + STEP


@pytest.mark.usefixtures("_small_folders")
def test_a_refresh_lists_no_folder_that_has_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _simulate(feature_set(tmp_path), parts=30, videos=1)
    features = feature_set(tmp_path)
    assert len(features) == 30
    listed: list[str] = []
    real = Folder.names
    monkeypatch.setattr(Folder, "names", lambda self, folder="": listed.append(folder) or real(self, folder))
    features.refresh()
    assert listed == ["parts-00001", "parts-00002"]
    next((features.path / "parts-00000").iterdir()).unlink()
    features.refresh()
    assert len(features) == 29


def test_a_part_rolls_by_its_videos_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.write.writer.PART_VIDEOS", 4)
    features = feature_set(tmp_path)
    write(features, [f"v{number}" for number in range(10)])
    assert [len(marker.videos) for marker, _ in features.index.places()] == [4, 4, 2]


def test_a_part_flat_in_the_folder_of_an_earlier_version_is_read_and_superseded(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, ["a", "b"])
    (file,) = features.path.glob("parts-*/part-*.json")
    part = features.path / features.part_of("a")
    old = json.loads(file.read_text())
    body = {name: value for name, value in old.items() if name not in ("format", "crc32c")}
    body |= {"part": part.name, "sequence": time.time_ns() + 3600 * 10**9}
    sealed = {"format": 1, "crc32c": google_crc32c.value(canonical_json(body).encode())} | body
    part.rename(features.path / part.name)
    (features.path / f"{part.name}.json").write_text(json.dumps(sealed))
    file.unlink()
    file.parent.rmdir()
    assert_holds(feature_set(tmp_path), ["a", "b"])
    assert verify(feature_set(tmp_path)) == []
    write(feature_set(tmp_path), ["b"], version=1)
    assert_holds(feature_set(tmp_path), ["a"])
    assert_holds(feature_set(tmp_path), ["b"], version=1)


def test_part_files_that_vanish_while_they_are_listed_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(feature_set(tmp_path), ["kept"])
    write(feature_set(tmp_path), ["removed"])
    features = feature_set(tmp_path)
    gone = marker_of(features, "removed")
    real = Folder.read_all

    def later(self: Folder, paths: list[str]) -> Any:
        gone.unlink()
        return real(self, paths)

    monkeypatch.setattr(Folder, "read_all", later)
    reader = feature_set(tmp_path)
    assert reader.videos() == ["kept"] and verify(reader) == []
    assert_holds(reader, ["kept"])
