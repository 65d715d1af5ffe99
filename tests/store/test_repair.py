"""Repair drops what is damaged, and nothing else."""

from pathlib import Path

import pytest
from maintained import VIDEOS, bytes_of, contents, damage, opened_anew, three_parts
from stored_videos import assert_holds, feature_set, marker_of, write

from store.care.garbage import collect
from store.care.repair import repair
from store.care.verify import verify
from store.errors import FeaturesNotFound, VideoNotStored
from store.feature_set import FeatureSet
from store.files.folder import Folder


@pytest.fixture(params=["zarr", "hdf5"])
def features(tmp_path: Path, request: pytest.FixtureRequest) -> FeatureSet:
    """Three parts of four videos, of either backend."""
    return three_parts(tmp_path, request.param)


def test_repair_drops_just_the_damaged_videos_and_the_next_write_refills_them(features: FeatureSet) -> None:
    for video in ("v01", "v03", "v08"):
        damage(features, video)
    damages = verify(features)
    assert {damage.video for damage in damages} == {"v01", "v03", "v08"}
    before = contents(features.path)
    assert repair(features, damages, dry_run=True).dropped == ["v01", "v03", "v08"]
    assert contents(features.path) == before
    done = repair(features, damages)
    assert (done.dropped, done.left) == (["v01", "v03", "v08"], [])
    after = opened_anew(features)
    whole = [video for video in VIDEOS if video not in done.dropped]
    assert after.videos() == whole and verify(after) == []
    assert_holds(after, whole)
    assert before.items() <= contents(features.path).items()
    features.refresh()
    assert features.videos() == whole
    write(after, done.dropped)
    assert_holds(opened_anew(features), VIDEOS)
    assert verify(opened_anew(features)) == []


def test_a_short_file_costs_only_the_videos_that_it_ends(features: FeatureSet) -> None:
    file = bytes_of(features, "v03")
    data = file.read_bytes()
    file.write_bytes(data[: data.index(features.read("v02", "spatial").tobytes())])
    lost = repair(features, verify(features)).dropped
    assert {"v02", "v03"} <= set(lost) <= set(VIDEOS[:4])
    rest = [video for video in VIDEOS if video not in lost]
    assert_holds(opened_anew(features), rest)


def test_repair_sets_a_damaged_marker_aside_with_its_part_and_deletes_nothing(features: FeatureSet) -> None:
    part, marker = features.part_of("v00"), marker_of(features, "v00")
    marker.write_text("{")
    again = opened_anew(features)
    held = sorted(contents(features.path).values())
    done = repair(again, verify(again))
    assert done.set_aside == [str(marker.relative_to(features.path))]
    assert sorted(contents(features.path).values()) == held
    assert (features.path / "damaged" / marker.name).is_file()
    assert (features.path / "damaged" / Path(part).name).exists()
    after = opened_anew(features)
    assert verify(after) == [] and after.videos() == VIDEOS[4:]
    assert after.clean() == []
    assert set(collect(after).set_aside) == {"damaged"}


def test_an_earlier_version_of_a_damaged_video_does_not_come_back(features: FeatureSet) -> None:
    write(features, ["v00"], version=1)
    damage(features, "v00")
    repair(features, verify(features))
    with pytest.raises(VideoNotStored):
        opened_anew(features).read("v00", "spatial")
    assert_holds(opened_anew(features), VIDEOS[1:])


def test_what_was_extracted_again_since_the_damage_was_found_stays(features: FeatureSet) -> None:
    damage(features, "v00")
    damages = verify(features)
    write(opened_anew(features), ["v00"])
    repair(features, damages)
    assert_holds(opened_anew(features), VIDEOS)


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
        damage(features, video)
    whole = ["v01", "v02", "v03", "v08", "v10", "v11"]
    damages = verify(features)
    with pytest.raises(KeyboardInterrupt):
        repair(features, damages)
    assert_holds(opened_anew(features), whole)
    monkeypatch.undo()
    again = opened_anew(features)
    repair(again, verify(again))
    assert opened_anew(features).videos() == whole and verify(opened_anew(features)) == []


def test_damaged_metadata_are_written_anew_without_losing_a_video(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, VIDEOS[:3])
    damage(features, "v00")
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
