"""A source of named arrays: a folder of .npy files, an HDF5 file, safetensors files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from store.errors import ImportFailed, InvalidFeatures
from store.exchange.digest import digest
from store.exchange.pattern import Pattern
from store.exchange.plan import Plan, plan_by_pattern
from store.exchange.source import VERSION, Fault, Options, Progress, narrowed, stored_dtype
from store.format.marker import StreamShape
from store.labels.errors import some
from store.read.index import describe

Streams = dict[str, StreamShape]


class Container(Protocol):
    """Arrays by name; InvalidFeatures is raised for one that is damaged, and costs its video only."""

    def shape(self, name: str) -> tuple[tuple[int, ...], str]:
        """Shape and dtype of an array, without reading it. Raises InvalidFeatures."""

    def read(self, name: str) -> NDArray[Any]:
        """The array. Raises InvalidFeatures."""


class NamedArrays:
    """Videos put together from a container's arrays; a `Source`.

    What most videos have decides on the streams, their shapes and dtypes; the others become faults.
    """

    imputed: Mapping[str, list[int]] = {}

    def __init__(
        self,
        format: str,
        container: Container,
        plan: Plan,
        files: Mapping[str, Path],
        rule: str,
        progress: Progress,
    ) -> None:
        self._container = container
        self._plan = plan
        self.faults = dict(plan.faults)
        self.passed_over = plan.passed_over
        self.streams = self._settle(progress)
        self.videos: Sequence[str] = [video for video in plan.arrays if video not in self.faults]
        self._specification = {
            "kind": "import",
            "version": VERSION,
            "format": format,
            "layout": plan.layout,
            "digest": digest(files, rule, progress),
            "streams": {name: {"shape": list(s.shape), "dtype": s.dtype} for name, s in self.streams.items()},
        }

    def specification(self) -> dict[str, Any]:
        """See `Source`."""
        return self._specification

    def meta(self, video: str) -> dict[str, Any]:
        """See `Source`."""
        return self._plan.metas.get(video, {})

    def read(self, video: str) -> dict[str, NDArray[Any]]:
        """See `Source`."""
        return {
            stream: self._read_stream(stream, names) for stream, names in self._plan.arrays[video].items()
        }

    def _read_stream(self, stream: str, names: list[str]) -> NDArray[Any]:
        expected = self.streams[stream]
        arrays = []
        for name in names:
            array = narrowed(self._container.read(name), expected.dtype)
            if (array.shape if self._plan.stack else array.shape[1:]) != expected.shape:
                raise InvalidFeatures(f"{name} was changed during the import: it is {list(array.shape)} now")
            arrays.append(array)
        if self._plan.stack:
            return np.stack(arrays)  # [chunks, *shape]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)  # [n, *shape]

    def _settle(self, progress: Progress) -> Streams:
        found: dict[str, Streams] = {}
        for video in progress(list(self._plan.arrays), "look"):
            try:
                found[video] = self._streams_of(video)
            except InvalidFeatures as error:
                self.faults[video] = Fault("invalid_features", str(error))
        counts = Counter(describe(streams) for streams in found.values())
        if not counts:
            return {}
        usual, times = counts.most_common(1)[0]
        for video, streams in found.items():
            if describe(streams) != usual:
                self.faults[video] = Fault(
                    "other_streams",
                    f"has {describe(streams)}; {times:,} of {len(found):,} videos have {usual}",
                )
        return next(streams for streams in found.values() if describe(streams) == usual)

    def _streams_of(self, video: str) -> Streams:
        streams = {}
        for stream, names in self._plan.arrays[video].items():
            items = {self._item(name): name for name in reversed(names)}
            if len(items) > 1:
                unlike = " and ".join(f"{name} {list(s.shape)} {s.dtype}" for s, name in items.items())
                raise InvalidFeatures(f"stream {stream!r}: arrays of one stream differ: {unlike}")
            streams[stream] = next(iter(items))
        return streams

    def _item(self, name: str) -> StreamShape:
        shape, dtype = self._container.shape(name)
        if not self._plan.stack and not shape:
            raise InvalidFeatures(f"{name} is a single number; expected [n, …]")
        if 0 in shape:
            raise InvalidFeatures(f"{name} is empty: {list(shape)}")
        try:
            kept = stored_dtype(dtype)
        except InvalidFeatures as error:
            raise InvalidFeatures(f"{name}: {error}") from None
        return StreamShape(shape if self._plan.stack else shape[1:], kept)


def plan_by_names(names: Sequence[str], options: Options, where: str) -> Plan:
    """Sort the arrays of one file: by --pattern, or each a video where no name has a `/`.

    Raises ImportFailed where that does not decide.
    """
    text = options.pattern
    if text is None:
        nested = [name for name in names if "/" in name]
        if nested:
            raise ImportFailed(
                f"{where} has names such as {some(nested, 3)}: say what they mean,"
                " with --pattern '{video}' (the last part belongs to the video's id)"
                " or --pattern '{video}/{stream}'"
            )
        text = "{video}"
    pattern = Pattern(text)
    if options.join and not pattern.chunked:
        raise ImportFailed("--join is for patterns with {chunk}: other arrays are a whole stream, [n, …]")
    return plan_by_pattern(names, pattern, pattern.chunked and options.join != "concatenate", where)
