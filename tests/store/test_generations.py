"""Parts of other versions in one feature set: earlier ones count like others, later ones are left alone."""

import json
import shutil
import uuid
from pathlib import Path

import fsspec
import google_crc32c
import pytest
from compressed_parts import compress
from stored_videos import SPECIFICATION, assert_holds, feature_set, marker_of, write

from store.care.compact import compact
from store.care.garbage import collect
from store.care.repair import repair
from store.care.verify import verify
from store.errors import NewerFormat
from store.feature_set import FeatureSet
from store.features import FeatureStore
from store.format.fingerprint import canonical_json

FLAT, COMPRESSED, NEW = ["a", "b", "c"], ["c", "d", "e"], ["e", "f"]


def _sealed(marker: Path, version: int = 1, **changes: object) -> bytes:
    """The marker's file with changes, as its own version would have written it."""
    body = json.loads(marker.read_text()) | changes
    del body["format"], body["crc32c"]
    head = {"format": version, "crc32c": google_crc32c.value(canonical_json(body).encode())}
    return json.dumps(head | body).encode()


def _lay_flat(features: FeatureSet) -> None:
    """Lay the only part where the first versions had them: beside feature.json."""
    (marker,) = features.path.glob("parts-*/part-*.json")
    part = features.path / features.part_of(FLAT[0])
    part.rename(features.path / part.name)
    (features.path / f"{part.name}.json").write_bytes(_sealed(marker, part=part.name))
    marker.unlink()
    shutil.rmtree(marker.parent)


@pytest.fixture
def features(tmp_path: Path) -> FeatureSet:
    """Three parts, each of which supersedes a video of the one before."""
    write(feature_set(tmp_path), COMPRESSED, version=1)
    compress(feature_set(tmp_path))
    flat = feature_set(tmp_path / "aside")
    write(flat, FLAT)
    sequence = next(iter(feature_set(tmp_path).index.markers.values())).sequence
    (marker,) = flat.path.glob("parts-*/part-*.json")
    marker.write_bytes(_sealed(marker, sequence=sequence - 1))
    marker.rename(marker.with_name(f"{marker.name.partition('.')[0]}.{sequence - 1:020}.json"))
    flat.refresh()
    _lay_flat(flat)
    for path in flat.path.glob("part-*"):
        path.rename(feature_set(tmp_path).path / path.name)
    shutil.rmtree(tmp_path / "aside")
    write(feature_set(tmp_path), NEW, version=2)
    return feature_set(tmp_path)


def _assert_whole(features: FeatureSet) -> None:
    assert features.videos() == ["a", "b", "c", "d", "e", "f"]
    assert_holds(features, ["a", "b"])
    assert_holds(features, ["c", "d"], version=1)
    assert_holds(features, NEW, version=2)
    assert verify(features) == []


def test_parts_of_earlier_versions_beside_new_ones_are_read_verified_and_superseded(
    features: FeatureSet,
) -> None:
    assert {marker.backend for marker in features.index.markers.values()} == {"zarr", "zarr-zstd"}
    _assert_whole(features)
    write(features, ["a", "d"], version=3)
    again = feature_set(features.path.parents[1])
    assert_holds(again, ["a", "d"], version=3)
    assert verify(again) == []


def test_they_are_merged_and_removed(features: FeatureSet) -> None:
    root = features.path.parents[1]
    write(feature_set(root), ["g"])
    write(feature_set(root), ["h"])
    compact(features := feature_set(root))
    assert_holds(features, ["g", "h"])
    collect(features, grace_hours=0)
    again = feature_set(root)
    assert {"a", "b", "c", "d", "e", "f", "g", "h"} == set(again.videos())
    assert_holds(again, ["a", "b"])
    assert_holds(again, ["c", "d"], version=1)
    assert_holds(again, NEW, version=2)
    assert verify(again) == []
    assert not [path for path in again.path.iterdir() if path.name.startswith("part-")]


def test_they_are_read_and_superseded_in_object_storage(features: FeatureSet) -> None:
    url = f"memory://bucket/{uuid.uuid4().hex}"
    fsspec.filesystem("memory").put(str(features.path), f"{url}/{features.name}", recursive=True)
    remote = FeatureStore(url).feature_set("demo", "random", SPECIFICATION)
    _assert_whole(remote)
    write(remote, ["a", "d"], version=3)
    assert_holds(FeatureStore(url).find("demo", "random"), ["a", "d"], version=3)


def test_beside_a_part_of_a_later_version_nothing_is_read_merged_or_removed(features: FeatureSet) -> None:
    root, marker = features.path.parents[1], marker_of(features, "f")
    marker.write_bytes(_sealed(marker, version=2, something_new=1))
    for litter in ("part-dead", "parts-00000/part-dead"):
        (features.path / litter).mkdir()
    before = sorted(features.path.rglob("*"))
    for use in (FeatureSet.videos, verify, compact, collect, lambda f: repair(f, [])):
        with pytest.raises(NewerFormat, match="has format 2; this version reads up to 1: update"):
            use(feature_set(root))
    assert sorted(features.path.rglob("*")) == before


def test_a_writer_adds_to_a_set_that_holds_parts_of_a_later_version(features: FeatureSet) -> None:
    root, marker = features.path.parents[1], marker_of(features, "f")
    present, later = marker.read_bytes(), _sealed(marker, version=2, something_new=1)
    marker.write_bytes(later)
    write(feature_set(root), ["f", "g"], version=4)
    assert marker.read_bytes() == later
    marker.write_bytes(present)  # as a program of that version would see it
    again = feature_set(root)
    assert_holds(again, ["f", "g"], version=4)
    assert_holds(again, ["e"], version=2)
    assert verify(again) == []
