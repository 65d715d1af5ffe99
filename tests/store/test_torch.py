"""Features in a DataLoader: the same numbers whoever reads them, and no copy on the way from a worker."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from stored_videos import feature_set, features_of, write
from torch.utils.data import DataLoader

from store.errors import InvalidRange, VideoNotStored
from store.feature_set import FeatureSet
from store.features import FeatureStore
from store.torch_view import Request, StoredFeatures, as_tensor, read_tensor

VIDEOS = [f"v{number}" for number in range(9)]
REQUESTS: list[Request] = [*VIDEOS, ("v3", 0, 1), ("v5", 1, None), ("v2", 1, 1)]


@pytest.fixture
def features(tmp_path: Path) -> FeatureSet:
    return _written(tmp_path, "hdf5")


def _written(root: Path, backend: str) -> FeatureSet:
    features = feature_set(root, backend)
    write(features, VIDEOS, chunk_bytes=300)
    return features


class _Told(StoredFeatures):
    """Says, too, which streams lay in shared memory before anything was sent."""

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        found = super().__getitem__(index)
        shared = [tensor.is_shared() for tensor in found.values() if len(tensor)]
        return found | {"shared": torch.tensor(shared)}


def _assert_answers(found: dict[str, torch.Tensor], request: Request) -> None:
    video, start, stop = (request, 0, None) if isinstance(request, str) else request
    for stream, whole in features_of(video).items():
        assert torch.equal(found[stream], torch.from_numpy(whole[start:stop]))


@pytest.mark.parametrize(("backend", "method"), [("zarr", "fork"), ("hdf5", "fork"), ("hdf5", "spawn")])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_read_what_is_stored_into_shared_memory(tmp_path: Path, backend: str, method: str) -> None:
    loader = DataLoader(
        _Told(_written(tmp_path, backend), REQUESTS),
        batch_size=None,
        num_workers=1 if method == "spawn" else 2,  # each imports torch
        multiprocessing_context=multiprocessing.get_context(method),
    )
    for found, request in zip(loader, REQUESTS, strict=True):
        _assert_answers(found, request)
        assert found["shared"].all()


def test_threads_and_this_process_read_the_same(features: FeatureSet) -> None:
    dataset = StoredFeatures(features, REQUESTS)
    with ThreadPoolExecutor(8) as pool:
        for found, request in zip(pool.map(dataset.__getitem__, range(len(dataset))), REQUESTS, strict=True):
            _assert_answers(found, request)
            assert not any(tensor.is_shared() for tensor in found.values())


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_read_ahead_in_the_order_asked_for(features: FeatureSet, threads: int) -> None:
    dataset = StoredFeatures(features, REQUESTS)
    order = [5, 0, 11, 5, 3]
    for found, index in zip(dataset.read_ahead(order, threads, ahead=2), order, strict=True):
        _assert_answers(found, REQUESTS[index])
    assert len(list(dataset.read_ahead(threads=threads))) == len(REQUESTS)


def test_an_error_while_reading_ahead_comes_in_its_turn(features: FeatureSet) -> None:
    found = StoredFeatures(features, ["v1", "v2", "nobody", "v3"]).read_ahead()
    _assert_answers(next(found), "v1")
    _assert_answers(next(found), "v2")
    with pytest.raises(VideoNotStored, match="'nobody'"):
        next(found)


def test_only_the_wanted_streams_are_read(features: FeatureSet) -> None:
    assert StoredFeatures(features, ["v1"], ["temporal"])[0].keys() == {"temporal"}
    with pytest.raises(VideoNotStored, match="'nobody'"):
        StoredFeatures(features, ["nobody"])[0]
    with pytest.raises(InvalidRange, match="cannot read 0 to 99"):
        StoredFeatures(features, [("v1", 0, 99)])[0]


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_workers_read_every_dtype(tmp_path: Path, dtype: str) -> None:
    features = FeatureStore(tmp_path).feature_set("demo", "e", {"dtype": dtype})
    tokens = np.random.default_rng(0).standard_normal((6, 40, 1000)).astype(np.float16)
    with features.writer() as writer:
        writer.add("v", {"x": tokens.astype("bfloat16") if dtype == "bfloat16" else tokens})
    read_tensor(features, "v", "x")  # a reader that worked here must not stop its forked children
    expected = as_tensor(features.read("v", "x"))
    for found in DataLoader(_Told(features, ["v"] * 4), batch_size=None, num_workers=2):
        assert found["shared"].all() and torch.equal(found["x"], expected)
        assert found["x"].dtype == (torch.bfloat16 if dtype == "bfloat16" else torch.float16)
