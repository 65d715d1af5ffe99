"""Stores of earlier versions whose parts are compressed stay readable, and are not written any more."""

import uuid
from pathlib import Path

import pytest
from compressed_parts import compress
from stored_videos import SPECIFICATION, assert_holds, feature_set, write

from store.care.compact import compact
from store.care.verify import verify
from store.errors import DamagedPart, UnknownBackend
from store.feature_set import FeatureSet
from store.features import FeatureStore

VIDEOS = [f"batch/{number:03}.mp4" for number in range(12)]


@pytest.fixture
def features(tmp_path: Path) -> FeatureSet:
    """Two compressed parts."""
    written = feature_set(tmp_path)
    write(written, VIDEOS[:7])
    write(written, VIDEOS[7:])
    compress(written)
    return feature_set(tmp_path)


def test_they_are_read_bit_for_bit_and_verified(features: FeatureSet) -> None:
    assert {marker.backend for marker in features.index.markers.values()} == {"zarr-zstd"}
    assert_holds(features, VIDEOS)
    assert verify(features) == []
    whole = features.read(VIDEOS[2], "temporal")
    assert features.read(VIDEOS[2], "temporal", 1, 3).tobytes() == whole[1:3].tobytes()


def test_a_changed_byte_is_found(features: FeatureSet) -> None:
    file = features.path / features.part_of(VIDEOS[0]) / "temporal" / "c.0.0"
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedPart, match=f"{file} cannot be decompressed"):
        features.read(VIDEOS[0], "temporal")
    assert (VIDEOS[0], "temporal") in {(damage.video, damage.stream) for damage in verify(features)}


def test_merging_makes_uncompressed_parts_of_them(features: FeatureSet) -> None:
    compact(features)
    (part,) = {features.part_of(video) for video in VIDEOS}
    assert {m.backend for m in features.index.markers.values() if m.part == part} == {"zarr"}
    assert_holds(features, VIDEOS)
    assert verify(features) == []


def test_they_are_read_in_object_storage(features: FeatureSet) -> None:
    import fsspec

    url = f"memory://bucket/{uuid.uuid4().hex}"
    fsspec.filesystem("memory").put(str(features.path), f"{url}/{features.name}", recursive=True)
    remote = FeatureStore(url).feature_set("demo", "random", SPECIFICATION)
    assert_holds(remote, VIDEOS)
    assert verify(remote) == []


def test_new_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownBackend, match="'zarr-zstd' is written; there is: zarr, hdf5"):
        FeatureStore(tmp_path, "zarr-zstd")
