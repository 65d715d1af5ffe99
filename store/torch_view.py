"""Stored features as torch tensors: a map-style dataset, for a DataLoader or read ahead by threads."""

from collections.abc import Iterable, Iterator, Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, get_worker_info

from store.ahead import read_ahead
from store.feature_set import FeatureSet
from store.format.dtypes import array_dtype

Request = str | tuple[str, int, int | None]
"""A video, or a video with the first item that is wanted and the first one that is not."""


class StoredFeatures(Dataset[dict[str, torch.Tensor]]):
    """Map-style dataset over one feature set: index → {stream: [n, *stream shape]} of that request."""

    def __init__(
        self, features: FeatureSet, requests: Sequence[Request], streams: Sequence[str] | None = None
    ) -> None:
        self.features = features
        self.requests = list(requests)
        self.streams = list(features.streams if streams is None else streams)

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Raises what `FeatureSet.read` raises."""
        request = self.requests[index]
        video, start, stop = (request, 0, None) if isinstance(request, str) else request
        return {stream: read_tensor(self.features, video, stream, start, stop) for stream in self.streams}

    def read_ahead(
        self, order: Iterable[int] | None = None, threads: int = 2, ahead: int = 8
    ) -> Iterator[dict[str, torch.Tensor]]:
        """The items of these indices (all, where not given), in this order, while threads read the next."""
        return read_ahead(self.__getitem__, range(len(self)) if order is None else order, threads, ahead)


def read_tensor(
    features: FeatureSet, video: str, stream: str, start: int = 0, stop: int | None = None
) -> torch.Tensor:
    """Items `start` to `stop` of a video as a tensor [stop - start, *stream shape].

    In a worker process of a DataLoader it is read straight into memory that the trainer shares, which
    would otherwise take a copy. Raises what `FeatureSet.read` raises.
    """
    length = features.length(video, stream)
    end = length if stop is None else stop
    if get_worker_info() is None or not 0 <= start < end <= length:
        return as_tensor(features.read(video, stream, start, stop))
    item = features.streams[stream]
    tensor = _shared((end - start, *item.shape), getattr(torch, item.dtype))
    features.read(video, stream, start, end, out=_as_array(tensor, item.dtype))
    return tensor


def as_tensor(array: NDArray[np.generic]) -> torch.Tensor:
    """The array's memory as a tensor of the same dtype, bfloat16 of `ml_dtypes` included."""
    if array.dtype == array_dtype("bfloat16"):
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _as_array(tensor: torch.Tensor, dtype: str) -> NDArray[np.generic]:
    host = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
    array: NDArray[np.generic] = host.numpy().view(array_dtype(dtype))
    return array


def _shared(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    # As torch's own collation does; `share_memory_()` would copy memory that holds nothing yet.
    storage = torch.UntypedStorage._new_shared(prod(shape) * dtype.itemsize)
    return torch.empty(0, dtype=dtype).set_(storage, 0, shape)  # type: ignore[call-overload, no-any-return]
