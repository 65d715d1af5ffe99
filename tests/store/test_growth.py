"""A feature set of many parts stays lean: what is counted here does not depend on the machine's speed."""

import pickle
import tracemalloc
import uuid
from pathlib import Path
from typing import Any

import pytest
from stored_videos import assert_holds, feature_set, features_of, write

from store.care.verify import verify
from store.format import meta_texts
from store.format.marker import Marker, StreamRows, marker_bytes, parse_marker, read_marker
from store.read import index as index_module
from store.read.index import STEP

META = {"fps": 29.97, "codec": "h264", "warnings": [], "note": '],"part":"part-' + "x" * 300}


def _simulate(folder: Path, parts: int, videos: int) -> None:
    """Markers without parts."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(parts):
        name = f"part-{uuid.UUID(int=number).hex}"
        rows = StreamRows(
            (2,), "float16", 96, offsets=list(range(videos)), lengths=[1] * videos, crc32c=[7] * videos
        )
        ids = [f"{number:06}/{row:06}" for row in range(videos)]
        marker = Marker(name, "zarr", 1 + number, ids, {"x": rows}, [META] * videos)
        (folder / f"{name}.json").write_bytes(marker_bytes(marker))


def test_a_large_set_opens_whole_and_takes_few_bytes_a_video(tmp_path: Path) -> None:
    _simulate(feature_set(tmp_path).path, parts=100, videos=100)
    tracemalloc.start()
    features = feature_set(tmp_path)
    assert len(features) == 10_000
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    meta_bytes = len(str(META))
    assert held / 10_000 < meta_bytes + 400
    assert features.meta("000099/000099") == META
    assert features.length("000023/000045") == 1


def test_a_commit_reads_no_marker_and_a_refresh_only_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _simulate(feature_set(tmp_path / "large").path, parts=300, videos=2)
    read: list[str] = []
    real = index_module.parse_marker
    monkeypatch.setattr(
        index_module, "parse_marker", lambda path, data: read.append(path.name) or real(path, data)
    )
    features = feature_set(tmp_path / "large")
    assert len(features) == 600 and len(read) == 300
    read.clear()
    with features.writer() as writer:
        writer.add("one", {"x": features_of("one")["temporal"][:, :2].copy()})
    assert read == [] and len(features) == 601
    features.refresh()
    assert read == []


def test_meta_data_are_read_only_when_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _simulate(feature_set(tmp_path).path, parts=2, videos=3)

    class Refuses:
        def raw_decode(self, *_: Any) -> None:
            raise AssertionError("meta data were read")

    monkeypatch.setattr(meta_texts, "_DECODER", Refuses())
    features = feature_set(tmp_path)
    assert len(features) == 6
    with pytest.raises(AssertionError, match="meta data were read"):
        features.meta("000000/000000")


def test_a_marker_reads_back_equal_both_ways_and_is_written_the_same(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, ["a", "b", "c"])
    (file,) = features.path.glob("part-*.json")
    marker, data = read_marker(file), file.read_bytes()
    spaced = parse_marker(file, data.replace(b',"', b', "'))
    for found in (marker, pickle.loads(pickle.dumps(marker)), spaced):
        assert marker_bytes(found) == data
        assert list(found.meta) == [{}, {}, {}] and list(found.meta[1:]) == [{}, {}]


def test_the_next_sequence_leaves_room_for_parts_that_replace_the_last(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, ["a"])
    (first,) = features.index.markers.values()
    assert features.next_sequence(0) == first.sequence + STEP
    later = first.sequence + 2 * STEP
    assert features.next_sequence(later) == later


def test_part_files_that_vanish_while_they_are_listed_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(feature_set(tmp_path), ["kept"])
    write(feature_set(tmp_path), ["removed"])
    features = feature_set(tmp_path)
    gone = features.path / f"{features.part_of('removed')}.json"
    real = index_module._contents

    def later(files: list[Path]) -> Any:
        gone.unlink()
        return real(files)

    monkeypatch.setattr(index_module, "_contents", later)
    reader = feature_set(tmp_path)
    assert reader.videos() == ["kept"] and verify(reader) == []
    assert_holds(reader, ["kept"])
