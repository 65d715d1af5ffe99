import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_videos import assert_holds, feature_set, features_of, write

from store.care.verify import verify
from store.errors import (
    AmbiguousFeatures,
    FeaturesNotFound,
    InvalidRange,
    InvalidSpecification,
    UnknownBackend,
    UnknownStream,
    VideoNotStored,
)
from store.features import FeatureStore, StreamShape
from store.format.fingerprint import fingerprint, subset_hash

VIDEOS = [f"batch/{number:03}.mp4" for number in range(12)]


@pytest.mark.parametrize("sizes", [{}, {"part_bytes": 2000}, {"chunk_bytes": 200}, {"chunk_bytes": 70}])
def test_features_read_back_bit_for_bit(tmp_path: Path, sizes: dict[str, int]) -> None:
    write(feature_set(tmp_path), VIDEOS, **sizes)
    features = FeatureStore(tmp_path).find("demo", "random")
    assert features.videos() == VIDEOS
    assert features.streams == {
        "spatial": StreamShape((3, 5), "float32"),
        "temporal": StreamShape((7,), "float16"),
    }
    assert_holds(features, VIDEOS)


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    chunk_items=st.integers(1, 7),
    data=st.data(),
)
def test_any_range_of_ragged_videos_is_read(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], chunk_items: int, data: st.DataObject
) -> None:
    features = feature_set(tmp_path_factory.mktemp("ragged"))
    counter = np.arange(sum(lengths) * 2, dtype=np.float32).reshape(-1, 2)
    videos = dict(
        zip("abcdefgh", np.split(counter, np.cumsum(lengths)[:-1]), strict=False)  # [length, 2] each
    )
    with features.writer(chunk_bytes=8 * chunk_items) as writer:
        for video, items in videos.items():
            writer.add(video, {"x": items})
    video = data.draw(st.sampled_from(sorted(videos)))
    start = data.draw(st.integers(0, len(videos[video])))
    stop = data.draw(st.integers(start, len(videos[video])))
    assert np.array_equal(features.read(video, "x", start, stop), videos[video][start:stop])


def test_plain_zarr_shows_the_same_numbers(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, VIDEOS, chunk_bytes=300)
    group = zarr.open_group(features.path / features.part_of(VIDEOS[0]), mode="r")
    for stream in features.streams:
        array = group[stream]
        assert isinstance(array, zarr.Array)
        assert len(list((features.path / features.part_of(VIDEOS[0]) / stream).glob("c.*"))) > 2
        together = np.concatenate([features_of(video)[stream] for video in VIDEOS])
        assert np.array_equal(np.asarray(array[:]), together)
        assert np.isnan(array.metadata.fill_value)


def test_a_small_part_is_not_padded(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, VIDEOS)
    assert sum(path.stat().st_size for path in features.path.rglob("c.*")) == features.size_bytes > 0


def test_reading_into_a_given_array(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, VIDEOS[:2])
    expected = features_of(VIDEOS[0])["spatial"]
    batch = np.full((2, *expected.shape), np.nan, np.float32)
    assert features.read(VIDEOS[0], "spatial", out=batch[1]).base is batch
    assert np.array_equal(batch[1], expected)
    assert np.isnan(batch[0]).all()
    for wrong in (batch, batch[1].astype(np.float16), batch[1][..., ::-1]):
        with pytest.raises(InvalidRange, match="C-contiguous"):
            features.read(VIDEOS[0], "spatial", out=wrong)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    assert features.videos() == []
    write(features, VIDEOS[:3])
    length = len(features_of(VIDEOS[0])["spatial"])
    assert features.length(VIDEOS[0], "spatial") == length
    with pytest.raises(UnknownStream, match="name one of"):
        features.length(VIDEOS[0])
    with pytest.raises(VideoNotStored, match="'nobody'"):
        features.read("nobody", "spatial")
    with pytest.raises(UnknownStream, match=r"'audio'; it has spatial \[3, 5\] float32, temporal"):
        features.read(VIDEOS[0], "audio")
    for start, stop in [(0, length + 1), (-1, 1), (2, 1)]:
        with pytest.raises(InvalidRange, match=f"has {length} items"):
            features.read(VIDEOS[0], "spatial", start, stop)


def test_length_is_that_of_all_streams_where_they_agree(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with features.writer() as writer:
        items = np.ones((4, 2), np.float32)
        writer.add("v", {"x": items, "y": items}, {"fps": 29.97, "warnings": ["rotated"]})
    assert features.length("v") == 4
    assert features.meta("v") == {"fps": 29.97, "warnings": ["rotated"]}


def test_a_video_extracted_again_supersedes_even_if_the_clock_went_back(tmp_path: Path) -> None:
    write(feature_set(tmp_path), VIDEOS[:5])
    features = feature_set(tmp_path)
    write(features, VIDEOS[2:4], version=1)
    latest = max(marker.sequence for marker in features.index.markers.values())
    assert features.next_sequence(now=0) > latest
    for reader in (features, feature_set(tmp_path)):
        assert len(reader) == 5
        assert_holds(reader, VIDEOS[2:4], version=1)
        assert_holds(reader, [VIDEOS[0], VIDEOS[1], VIDEOS[4]])


def test_other_writers_videos_appear_on_refresh(tmp_path: Path) -> None:
    reader = feature_set(tmp_path)
    write(feature_set(tmp_path), VIDEOS[:2])
    assert reader.videos() == VIDEOS[:2]
    write(feature_set(tmp_path), VIDEOS[2:4])
    assert reader.videos() == VIDEOS[:2]
    reader.refresh()
    assert reader.videos() == VIDEOS[:4]


def test_a_set_is_read_by_threads_and_after_pickling(tmp_path: Path) -> None:
    write(feature_set(tmp_path), VIDEOS, chunk_bytes=300)
    features = pickle.loads(pickle.dumps(feature_set(tmp_path)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: assert_holds(features, VIDEOS), range(8)))


def test_arrays_may_change_after_they_were_added_and_need_not_be_contiguous(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    array = np.arange(12, dtype=">f4").reshape(3, 4).T  # [4, 3], big-endian, by column
    expected = array.astype(np.float32)
    with features.writer() as writer:
        writer.add("v", {"x": array})
        array[:] = 0
    assert np.array_equal(features.read("v", "x"), expected)
    assert verify(features) == []


def test_the_key_depends_on_all_values_and_not_on_their_order() -> None:
    one = {"layer": -2, "size": [224, 224], "mean": {"r": 0.48}}
    assert fingerprint(one) == fingerprint({"mean": {"r": 0.48}, "size": (224, 224), "layer": -2})
    assert len({fingerprint(one), fingerprint(one | {"layer": -1}), fingerprint({})}) == 3
    for bad in ({"x": float("nan")}, {"x": {1}}, {"x": {1: 2}}, {"x": Path("a")}):
        with pytest.raises(InvalidSpecification):
            fingerprint(bad)


def test_the_subset_hash_is_that_of_the_ids(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, VIDEOS[:5])
    assert features.subset_hash() == subset_hash(reversed(VIDEOS[:5]))
    assert features.subset_hash(VIDEOS[:4]) == subset_hash(VIDEOS[:4]) != features.subset_hash()
    with pytest.raises(VideoNotStored):
        features.subset_hash(["nobody"])


def test_find_wants_a_key_only_where_two_sets_have_videos(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    with pytest.raises(FeaturesNotFound, match="it is empty"):
        store.find("demo", "nss")
    first, second = (store.feature_set("demo", "nss", {"version": v}) for v in (1, 2))
    write(first, VIDEOS[:1])
    second.create()
    assert store.find("demo", "nss").key == first.key
    write(second, VIDEOS[:2])
    with pytest.raises(AmbiguousFeatures, match=f"(?s){min(first.key, second.key)}.*"):
        store.find("demo", "nss")
    assert store.find("demo", "nss", second.key[:6]).videos() == VIDEOS[:2]
    assert store.find("demo", "nss", first.key).specification == {"version": 1}
    with pytest.raises(FeaturesNotFound, match=f"demo/nss@{first.key}"):
        store.find("demo", "clip")
    assert [features.key for features in store.feature_sets()] == sorted([first.key, second.key])


def test_an_unknown_backend_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UnknownBackend, match="'lmdb' is written; there is: zarr, hdf5"):
        FeatureStore(tmp_path, backend="lmdb")
