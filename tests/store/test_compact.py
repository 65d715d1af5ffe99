"""Small parts are merged, whoever writes meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from maintained import VIDEOS, contents, damage, opened_anew, three_parts
from odd_disks import small_disk
from stored_videos import assert_holds, write

from store.care.compact import compact
from store.care.garbage import collect
from store.care.verify import verify
from store.errors import WriteFailed
from store.feature_set import FeatureSet
from store.features import FeatureStore


@pytest.fixture(params=["zarr", "hdf5"])
def features(tmp_path: Path, request: pytest.FixtureRequest) -> FeatureSet:
    """Three parts of four videos, of either backend."""
    return three_parts(tmp_path, request.param)


def test_compact_leaves_one_part_and_few_files(features: FeatureSet) -> None:
    extra = [f"w{number:02}" for number in range(60)]
    for first in range(0, len(extra), 5):
        write(opened_anew(features), extra[first : first + 5])
    features = opened_anew(features)
    before = contents(features.path)
    assert len(compact(features, dry_run=True).merged[0]) == 15
    assert contents(features.path) == before
    reader = opened_anew(features)
    reader.videos()
    assert compact(features).videos == 72
    assert_holds(reader, reader.videos())
    collect(features, grace_hours=0)
    after = opened_anew(features)
    assert after.videos() == sorted(VIDEOS + extra) and verify(after) == []
    assert_holds(after, after.videos())
    assert len(after.index.markers) == 1
    assert len(contents(features.path)) <= 72 / 10 + 1  # and feature.json
    assert compact(after).merged == []


def test_parts_of_each_backend_are_merged_among_themselves(features: FeatureSet) -> None:
    kept = features.index.places()[0][0].backend
    other = {"zarr": "hdf5", "hdf5": "zarr"}[kept]
    second = FeatureStore(features.path.parents[1], other).open(features.path)
    for video in ("x", "y"):
        write(second, [video])
    assert sorted(map(len, compact(second).merged)) == [2, 3]
    collect(second, grace_hours=0)
    after = opened_anew(features)
    assert {marker.backend for marker in after.index.markers.values()} == {other, kept}
    assert_holds(after, [*VIDEOS, "x", "y"])


def test_what_is_written_while_parts_are_merged_counts(features: FeatureSet) -> None:
    merging = opened_anew(features)
    merging.videos()
    write(features, ["v05"], version=1)
    compact(merging)
    after = opened_anew(features)
    assert_holds(after, ["v05"], version=1)
    assert_holds(after, [video for video in VIDEOS if video != "v05"])
    collect(after, grace_hours=0)
    assert_holds(opened_anew(features), ["v05"], version=1)


def test_compact_leaves_a_damaged_video_where_it_is(features: FeatureSet) -> None:
    damage(features, "v02")
    part = features.part_of("v02")
    done = compact(features)
    assert [damage.video for damage in done.damages] == ["v02"]
    collect(features, grace_hours=0)
    after = opened_anew(features)
    assert after.part_of("v02") == part
    assert_holds(after, [video for video in VIDEOS if video != "v02"])


def test_writers_and_compaction_at_once_lose_nothing(features: FeatureSet) -> None:
    def add(number: int) -> None:
        write(opened_anew(features), [f"w{number}"])

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(add, number) for number in range(12)]
        for _ in range(3):
            compact(opened_anew(features))
            collect(opened_anew(features), grace_hours=0)
        for job in writing:
            job.result()
    after = opened_anew(features)
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
        after = opened_anew(features)
        assert after.videos() == ["v0", "v1", "v2"] and verify(after) == []
        assert after.clean() == []
