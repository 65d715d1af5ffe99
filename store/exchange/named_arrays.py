"""A source whose arrays belong to a video, a stream or a chunk each, as a plan says."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.errors import InvalidFeatures
from store.exchange.arrays import Arrays
from store.exchange.plan import Plan
from store.exchange.source import VERSION, Fault, Progress, Source, narrowed, stored_dtype
from store.format.marker import StreamShape
from store.index import describe

Streams = dict[str, StreamShape]


def named_source(
    format: str, arrays: Arrays, plan: Plan, digest: Mapping[str, str], progress: Progress
) -> Source:
    """Videos put together from arrays.

    What most videos have decides on the streams, their shapes and dtypes; the others become faults.
    """
    streams, faults = _settle(arrays, plan, progress)

    def read(video: str) -> dict[str, NDArray[Any]]:
        return {
            stream: _read_stream(arrays, names, streams[stream], plan.stack)
            for stream, names in plan.arrays[video].items()
        }

    specification = {
        "kind": "import",
        "version": VERSION,
        "format": format,
        "layout": plan.layout,
        "digest": dict(digest),
        "streams": {name: {"shape": list(s.shape), "dtype": s.dtype} for name, s in streams.items()},
    }
    videos = [video for video in plan.arrays if video not in faults]
    return Source(videos, specification, read, plan.metas, plan.faults | faults, plan.passed_over)


def _read_stream(arrays: Arrays, names: list[str], expected: StreamShape, stack: bool) -> NDArray[Any]:
    found = []
    for name in names:
        array = narrowed(arrays.read(name), expected.dtype)
        if (array.shape if stack else array.shape[1:]) != expected.shape:
            raise InvalidFeatures(f"{name} was changed during the import: it is {list(array.shape)} now")
        found.append(array)
    if stack:
        return np.stack(found)  # [chunks, *shape]
    return found[0] if len(found) == 1 else np.concatenate(found)  # [n, *shape]


def _settle(arrays: Arrays, plan: Plan, progress: Progress) -> tuple[Streams, dict[str, Fault]]:
    found: dict[str, Streams] = {}
    faults: dict[str, Fault] = {}
    for video in progress(list(plan.arrays), "look"):
        try:
            found[video] = {
                stream: _item_of(arrays, stream, names, plan.stack)
                for stream, names in plan.arrays[video].items()
            }
        except InvalidFeatures as error:
            faults[video] = Fault("invalid_features", str(error))
    counts = Counter(describe(streams) for streams in found.values())
    usual, times = counts.most_common(1)[0] if counts else ("", 0)
    for video, streams in found.items():
        if describe(streams) != usual:
            reason = f"has {describe(streams)}; {times:,} of {len(found):,} videos have {usual}"
            faults[video] = Fault("other_streams", reason)
    return next((streams for streams in found.values() if describe(streams) == usual), {}), faults


def _item_of(arrays: Arrays, stream: str, names: list[str], stack: bool) -> StreamShape:
    items: dict[StreamShape, str] = {}
    for name in names:
        array = arrays.look(name)
        if not stack and not array.shape:
            raise InvalidFeatures(f"{name} is a single number; expected [n, …]")
        if 0 in array.shape:
            raise InvalidFeatures(f"{name} is empty: {list(array.shape)}")
        dtype = stored_dtype(name, array.dtype.name)
        items.setdefault(StreamShape(array.shape if stack else array.shape[1:], dtype), name)
    if len(items) > 1:
        unlike = " and ".join(f"{name} {list(s.shape)} {s.dtype}" for s, name in items.items())
        raise InvalidFeatures(f"stream {stream!r}: arrays of one stream differ: {unlike}")
    return next(iter(items))
