"""What gc removes, and what it leaves."""

import os
from pathlib import Path

import pytest
from maintained import VIDEOS, age, damage, opened_anew, three_parts
from stored_videos import assert_holds, features_of, write

from store.care.garbage import collect
from store.care.repair import repair
from store.care.verify import verify
from store.feature_set import FeatureSet


@pytest.fixture(params=["zarr", "hdf5"])
def features(tmp_path: Path, request: pytest.FixtureRequest) -> FeatureSet:
    """Three parts of four videos, of either backend."""
    return three_parts(tmp_path, request.param)


def test_gc_removes_a_part_that_is_gone_or_without_a_whole_video_once_it_is_repaired(
    features: FeatureSet,
) -> None:
    gone, emptied = features.part_of("v00"), features.part_of("v04")
    (features.path / gone).rename(features.path.parent / "elsewhere")
    for video in VIDEOS[4:8]:
        damage(features, video)
    assert repair(features, verify(features)).dropped == VIDEOS[:8]
    assert set(collect(features).waiting) >= {gone, emptied}
    assert set(collect(features, grace_hours=0).superseded) == {gone, emptied}
    collect(features, grace_hours=0)
    assert len(list(features.path.glob("parts-*/part-*"))) == 2
    assert_holds(opened_anew(features), VIDEOS[8:])
    assert verify(opened_anew(features)) == []


def test_gc_removes_superseded_parts_after_the_grace_period(features: FeatureSet) -> None:
    reader = opened_anew(features)
    reader.videos()
    old = features.part_of("v00")
    write(features, VIDEOS[:4], version=1)
    waiting = collect(features)
    assert set(waiting.waiting) == {old} and not waiting.superseded
    assert_holds(reader, VIDEOS)
    age(features, 25)
    listed = collect(features, dry_run=True)
    assert set(listed.superseded) == {old} and listed.superseded[old] > 0
    assert (features.path / old).exists()
    assert set(collect(features).superseded) == {old}
    assert not list(features.path.glob(f"{old}*"))
    assert_holds(opened_anew(features), VIDEOS[:4], version=1)
    assert_holds(opened_anew(features), VIDEOS[4:])


def test_gc_keeps_a_part_with_one_video_that_only_it_has(features: FeatureSet) -> None:
    write(features, VIDEOS[:3], version=1)
    age(features, 25)
    assert not collect(features).superseded
    assert_holds(opened_anew(features), ["v03"])


def test_gc_leaves_a_running_writer_alone_and_clears_quarantine(features: FeatureSet) -> None:
    for video in ("v00", "unreadable"):
        features.quarantine.add(video, "zero bytes", "empty_file")
    litter = features.path / "part.tmp-0badhost-1-1-abc"
    with opened_anew(features).writer() as writer:
        writer.add("new", features_of("new"))
        litter.mkdir()
        os.utime(litter, (0, 0))
        done = collect(features)
    assert set(done.litter) == {litter.name} and not litter.exists()
    assert done.quarantine == ["v00"]
    assert [entry.video for entry in features.quarantine.entries()] == ["unreadable"]
    assert_holds(opened_anew(features), [*VIDEOS, "new"])
