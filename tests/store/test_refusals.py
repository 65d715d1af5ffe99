from pathlib import Path

import numpy as np
import pytest
from stored_videos import assert_holds, feature_set, features_of, write

from store.errors import DuplicateVideo, InvalidFeatures, InvalidName
from store.features import FeatureStore
from store.format.dtypes import not_finite


@pytest.mark.parametrize("video", ["../../etc/passwd", "/abs.mp4", "x" * 900, "a\\b", "ü 🎬", "~", "C:con"])
def test_an_odd_id_is_only_data(tmp_path: Path, video: str) -> None:
    features = feature_set(tmp_path / "store")
    write(features, [video])
    assert feature_set(tmp_path / "store").videos() == [video]
    assert_holds(feature_set(tmp_path / "store"), [video])
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_an_empty_id_is_refused(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with features.writer() as writer, pytest.raises(InvalidName, match="video id"):
        writer.add("", features_of("v"))
    assert not features.path.exists()


GOOD = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ({"x": np.array([[1.0, np.nan, np.inf]], np.float32)}, "2 of 3 values are NaN or infinite"),
        ({"x": GOOD.astype(np.float64)}, r"found \[2, 3\] float64"),
        ({"x": GOOD.astype(np.float16)}, r"expected \[n, 3\] float32"),
        ({"x": np.ones((2, 4), np.float32)}, r"found \[2, 4\] float32; expected \[n, 3\] float32"),
        ({"x": np.ones((0, 3), np.float32)}, "expected at least one item"),
        ({"x": np.float32(1)}, "expected a numpy array, found float32"),
        ({"x": GOOD, "y": GOOD}, "has the streams x, y; expected x"),
        ({}, "no streams"),
    ],
)
def test_refused_features_name_the_video_and_leave_the_writer_usable(
    tmp_path: Path, streams: dict[str, np.ndarray], message: str
) -> None:
    features = feature_set(tmp_path)
    with features.writer() as writer:
        writer.add("first", {"x": GOOD})
        with pytest.raises(InvalidFeatures, match=f"'bad'.*{message}"):
            writer.add("bad", streams)
        with pytest.raises(DuplicateVideo, match="'first'"):
            writer.add("first", {"x": GOOD})
        writer.add("last", {"x": GOOD})
    assert features.videos() == ["first", "last"]


def test_every_half_precision_number_is_told_finite_or_not() -> None:
    every = np.arange(1 << 16, dtype="<u2").view("<f2")
    each = [not_finite(every[at : at + 1]) for at in range(len(every))]
    assert np.array_equal(each, ~np.isfinite(every))
    assert not_finite(every) == sum(each)


def test_a_later_writer_is_held_to_the_streams_that_are_there(tmp_path: Path) -> None:
    write(feature_set(tmp_path), ["first"])
    with feature_set(tmp_path).writer() as writer, pytest.raises(InvalidFeatures, match="expected spatial"):
        writer.add("v", {"x": GOOD})


def test_stream_and_folder_names_cannot_leave_their_folder(tmp_path: Path) -> None:
    with feature_set(tmp_path).writer() as writer, pytest.raises(InvalidName, match=r"'\.\./x'"):
        writer.add("v", {"../x": GOOD})
    for dataset, encoder in [("..", "e"), ("d", "a/b"), ("d", ""), ("d", "a@b")]:
        with pytest.raises(InvalidName):
            FeatureStore(tmp_path).feature_set(dataset, encoder, {})
