import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_disks import small_disk
from stored_videos import assert_holds, feature_set, features_of, marker_of, write

from store.care.compact import compact
from store.care.difference import changes, difference
from store.care.garbage import collect
from store.care.repair import repair
from store.care.verify import verify
from store.errors import FeaturesNotFound, VideoNotStored, WriteFailed
from store.feature_set import FeatureSet
from store.features import FeatureStore
from store.files.folder import Folder

VIDEOS = [f"v{number:02}" for number in range(12)]


@pytest.fixture(params=["zarr", "hdf5"])
def features(tmp_path: Path, request: pytest.FixtureRequest) -> FeatureSet:
    """Three parts of four videos, of either backend."""
    store = FeatureStore(tmp_path, backend=request.param)
    for first in (0, 4, 8):
        write(store.feature_set("demo", "random", {"seed": 0}), VIDEOS[first : first + 4])
    return store.feature_set("demo", "random", {"seed": 0})


def _again(features: FeatureSet) -> FeatureSet:
    backend = features.index.places()[0][0].backend
    return FeatureStore(features.path.parents[1], backend).open(features.path)


def _bytes_of(features: FeatureSet, video: str) -> Path:
    """The file that holds the first bytes of the video's spatial stream."""
    part = features.path / features.part_of(video)
    return part if part.is_file() else next(part.glob("spatial/c.0.*"))


def _damage(features: FeatureSet, video: str) -> None:
    """Change one bit of a video's spatial stream."""
    file = _bytes_of(features, video)
    written = features.read(video, "spatial").tobytes()
    data = bytearray(file.read_bytes())
    data[data.index(written)] ^= 1
    file.write_bytes(data)


def _age(features: FeatureSet, hours: float) -> None:
    past = time.time() - hours * 3600
    for marker in features.path.glob("parts-*/part-*.json"):
        os.utime(marker, (past, past))


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_repair_drops_just_the_damaged_videos_and_the_next_write_refills_them(features: FeatureSet) -> None:
    for video in ("v01", "v03", "v08"):
        _damage(features, video)
    damages = verify(features)
    assert {damage.video for damage in damages} == {"v01", "v03", "v08"}
    before = _contents(features.path)
    assert repair(features, damages, dry_run=True).dropped == ["v01", "v03", "v08"]
    assert _contents(features.path) == before
    done = repair(features, damages)
    assert (done.dropped, done.left) == (["v01", "v03", "v08"], [])
    after = _again(features)
    whole = [video for video in VIDEOS if video not in done.dropped]
    assert after.videos() == whole and verify(after) == []
    assert_holds(after, whole)
    assert before.items() <= _contents(features.path).items()
    features.refresh()
    assert features.videos() == whole
    write(after, done.dropped)
    assert_holds(_again(features), VIDEOS)
    assert verify(_again(features)) == []


def test_gc_removes_a_part_that_is_gone_or_without_a_whole_video_once_it_is_repaired(
    features: FeatureSet,
) -> None:
    gone, emptied = features.part_of("v00"), features.part_of("v04")
    (features.path / gone).rename(features.path.parent / "elsewhere")
    for video in VIDEOS[4:8]:
        _damage(features, video)
    assert repair(features, verify(features)).dropped == VIDEOS[:8]
    assert set(collect(features).waiting) >= {gone, emptied}
    assert set(collect(features, grace_hours=0).superseded) == {gone, emptied}
    collect(features, grace_hours=0)
    assert len(list(features.path.glob("parts-*/part-*"))) == 2
    assert_holds(_again(features), VIDEOS[8:])
    assert verify(_again(features)) == []


def test_a_short_file_costs_only_the_videos_that_it_ends(features: FeatureSet) -> None:
    file = _bytes_of(features, "v03")
    data = file.read_bytes()
    file.write_bytes(data[: data.index(features.read("v02", "spatial").tobytes())])
    lost = repair(features, verify(features)).dropped
    assert {"v02", "v03"} <= set(lost) <= set(VIDEOS[:4])
    rest = [video for video in VIDEOS if video not in lost]
    assert_holds(_again(features), rest)


def test_repair_sets_a_damaged_marker_aside_with_its_part_and_deletes_nothing(features: FeatureSet) -> None:
    part, marker = features.part_of("v00"), marker_of(features, "v00")
    marker.write_text("{")
    again = _again(features)
    held = sorted(_contents(features.path).values())
    done = repair(again, verify(again))
    assert done.set_aside == [str(marker.relative_to(features.path))]
    assert sorted(_contents(features.path).values()) == held
    assert (features.path / "damaged" / marker.name).is_file()
    assert (features.path / "damaged" / Path(part).name).exists()
    after = _again(features)
    assert verify(after) == [] and after.videos() == VIDEOS[4:]
    assert after.clean() == []
    assert set(collect(after).set_aside) == {"damaged"}


def test_an_earlier_version_of_a_damaged_video_does_not_come_back(features: FeatureSet) -> None:
    write(features, ["v00"], version=1)
    _damage(features, "v00")
    repair(features, verify(features))
    with pytest.raises(VideoNotStored):
        _again(features).read("v00", "spatial")
    assert_holds(_again(features), VIDEOS[1:])


def test_what_was_extracted_again_since_the_damage_was_found_stays(features: FeatureSet) -> None:
    _damage(features, "v00")
    damages = verify(features)
    write(_again(features), ["v00"])
    repair(features, damages)
    assert_holds(_again(features), VIDEOS)


@pytest.mark.parametrize("stopped_at", range(3))
def test_a_repair_that_is_stopped_leaves_a_valid_set_and_can_be_run_again(
    features: FeatureSet, stopped_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(range(100))
    real = Folder.write

    def write_or_stop(self: Folder, path: str, data: bytes) -> None:
        if next(steps) == stopped_at:
            raise KeyboardInterrupt
        real(self, path, data)

    monkeypatch.setattr(Folder, "write", write_or_stop)
    for video in ("v00", *VIDEOS[4:8], "v09"):
        _damage(features, video)
    whole = ["v01", "v02", "v03", "v08", "v10", "v11"]
    damages = verify(features)
    with pytest.raises(KeyboardInterrupt):
        repair(features, damages)
    assert_holds(_again(features), whole)
    monkeypatch.undo()
    again = _again(features)
    repair(again, verify(again))
    assert _again(features).videos() == whole and verify(_again(features)) == []


def test_damaged_metadata_are_written_anew_without_losing_a_video(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, VIDEOS[:3])
    _damage(features, "v00")
    (features.path / features.part_of("v00") / "spatial" / "zarr.json").unlink()
    done = repair(features, verify(features))
    assert done.rewritten == [features.index.places()[0][0].part]
    after = feature_set(tmp_path)
    assert after.videos() == VIDEOS[1:3] and verify(after) == []
    assert_holds(after, VIDEOS[1:3])


def test_a_set_whose_disk_has_gone_is_not_repaired(features: FeatureSet) -> None:
    features.videos()
    features.path.rename(features.path.with_name("unmounted"))
    with pytest.raises(FeaturesNotFound, match="still mounted"):
        repair(features, verify(features))
    with pytest.raises(FeaturesNotFound, match="12 videos: is its disk still mounted"):
        features.refresh()


def test_gc_removes_superseded_parts_after_the_grace_period(features: FeatureSet) -> None:
    reader = _again(features)
    reader.videos()
    old = features.part_of("v00")
    write(features, VIDEOS[:4], version=1)
    waiting = collect(features)
    assert set(waiting.waiting) == {old} and not waiting.superseded
    assert_holds(reader, VIDEOS)
    _age(features, 25)
    listed = collect(features, dry_run=True)
    assert set(listed.superseded) == {old} and listed.superseded[old] > 0
    assert (features.path / old).exists()
    assert set(collect(features).superseded) == {old}
    assert not list(features.path.glob(f"{old}*"))
    assert_holds(_again(features), VIDEOS[:4], version=1)
    assert_holds(_again(features), VIDEOS[4:])


def test_gc_keeps_a_part_with_one_video_that_only_it_has(features: FeatureSet) -> None:
    write(features, VIDEOS[:3], version=1)
    _age(features, 25)
    assert not collect(features).superseded
    assert_holds(_again(features), ["v03"])


def test_gc_leaves_a_running_writer_alone_and_clears_quarantine(features: FeatureSet) -> None:
    for video in ("v00", "unreadable"):
        features.quarantine.add(video, "zero bytes", "empty_file")
    litter = features.path / "part.tmp-0badhost-1-1-abc"
    with _again(features).writer() as writer:
        writer.add("new", features_of("new"))
        litter.mkdir()
        os.utime(litter, (0, 0))
        done = collect(features)
    assert set(done.litter) == {litter.name} and not litter.exists()
    assert done.quarantine == ["v00"]
    assert [entry.video for entry in features.quarantine.entries()] == ["unreadable"]
    assert_holds(_again(features), [*VIDEOS, "new"])


def test_compact_leaves_one_part_and_few_files(features: FeatureSet) -> None:
    extra = [f"w{number:02}" for number in range(60)]
    for first in range(0, len(extra), 5):
        write(_again(features), extra[first : first + 5])
    features = _again(features)
    before = _contents(features.path)
    assert len(compact(features, dry_run=True).merged[0]) == 15
    assert _contents(features.path) == before
    reader = _again(features)
    reader.videos()
    assert compact(features).videos == 72
    assert_holds(reader, reader.videos())
    collect(features, grace_hours=0)
    after = _again(features)
    assert after.videos() == sorted(VIDEOS + extra) and verify(after) == []
    assert_holds(after, after.videos())
    assert len(after.index.markers) == 1
    assert len(_contents(features.path)) <= 72 / 10 + 1  # and feature.json
    assert compact(after).merged == []


def test_parts_of_each_backend_are_merged_among_themselves(features: FeatureSet) -> None:
    kept = features.index.places()[0][0].backend
    other = {"zarr": "hdf5", "hdf5": "zarr"}[kept]
    second = FeatureStore(features.path.parents[1], other).open(features.path)
    for video in ("x", "y"):
        write(second, [video])
    assert sorted(map(len, compact(second).merged)) == [2, 3]
    collect(second, grace_hours=0)
    after = _again(features)
    assert {marker.backend for marker in after.index.markers.values()} == {other, kept}
    assert_holds(after, [*VIDEOS, "x", "y"])


def test_what_is_written_while_parts_are_merged_counts(features: FeatureSet) -> None:
    merging = _again(features)
    merging.videos()
    write(features, ["v05"], version=1)
    compact(merging)
    after = _again(features)
    assert_holds(after, ["v05"], version=1)
    assert_holds(after, [video for video in VIDEOS if video != "v05"])
    collect(after, grace_hours=0)
    assert_holds(_again(features), ["v05"], version=1)


def test_compact_leaves_a_damaged_video_where_it_is(features: FeatureSet) -> None:
    _damage(features, "v02")
    part = features.part_of("v02")
    done = compact(features)
    assert [damage.video for damage in done.damages] == ["v02"]
    collect(features, grace_hours=0)
    after = _again(features)
    assert after.part_of("v02") == part
    assert_holds(after, [video for video in VIDEOS if video != "v02"])


def test_writers_and_compaction_at_once_lose_nothing(features: FeatureSet) -> None:
    def add(number: int) -> None:
        write(_again(features), [f"w{number}"])

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(add, number) for number in range(12)]
        for _ in range(3):
            compact(_again(features))
            collect(_again(features), grace_hours=0)
        for job in writing:
            job.result()
    after = _again(features)
    assert after.videos() == sorted([*VIDEOS, *(f"w{number}" for number in range(12))])
    assert_holds(after, after.videos())
    assert verify(after) == []


def test_a_merge_without_room_leaves_the_old_parts(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1_500_000) as disk:
        features = FeatureStore(disk).feature_set("demo", "random", {"seed": 1})
        for number in range(3):
            with features.writer() as writer:
                writer.add(f"v{number}", {"x": np.full((1, 80_000), number, np.float32)})
        with pytest.raises(WriteFailed, match=r"No space left on device.*still in their old parts"):
            compact(features)
        after = _again(features)
        assert after.videos() == ["v0", "v1", "v2"] and verify(after) == []
        assert after.clean() == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(JSON, JSON)
def test_two_values_differ_in_words_exactly_where_they_differ(a: object, b: object) -> None:
    assert changes(a, a) == []
    assert bool(changes({"x": a}, {"x": b})) == (_canonical(a) != _canonical(b))


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def test_differences_are_told_in_readable_lines() -> None:
    a = {"layer": 23, "weights": "clip", "input": {"size": 224, "mean": [0.1, 0.2]}, "old": "1"}
    b = {"layer": 22, "weights": "clip", "input": {"size": 224, "mean": [0.1, 0.3]}, "new": None}
    assert changes(a, b) == [
        "input.mean[1]: 0.2 → 0.3",
        "layer: 23 → 22",
        "new: absent → null",
        'old: "1" → absent',
    ]


def test_two_sets_differ_in_videos_and_subset_hash(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    a, b = (store.feature_set("demo", "random", {"seed": seed}) for seed in (0, 1))
    write(a, ["one", "two"])
    write(b, ["two", "three", "four"])
    found = difference(a, b)
    assert found.specification == ["seed: 0 → 1"]
    assert (found.only_a, found.only_b, found.common) == (["one"], ["four", "three"], 1)
    assert (found.subset_hash_a, found.subset_hash_b) == (a.subset_hash(), b.subset_hash())
