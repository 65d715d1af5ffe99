"""Which arrays of a source make up which video."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from store.errors import ImportFailed, InvalidName
from store.exchange.pattern import Pattern
from store.exchange.source import STREAM, Fault
from store.format.names import check_video_id
from store.labels.errors import some
from store.labels.resolve import video_id

Chunks = dict[int | None, list[str]]
"""Chunk number (None where names have none) → names of arrays; a whole source has one of each."""


@dataclass
class Plan:
    """The arrays of every video, by name."""

    arrays: dict[str, dict[str, list[str]]]
    """Video → stream → names of arrays, in the order of the chunks."""
    faults: dict[str, Fault] = field(default_factory=dict)
    passed_over: dict[str, str] = field(default_factory=dict)
    metas: dict[str, dict[str, Any]] = field(default_factory=dict)
    stack: bool = False
    """Whether an array is one item, or several, [n, …]."""
    layout: dict[str, Any] = field(default_factory=dict)
    """For the specification: by which rule the names were read."""


def plan_by_pattern(names: Iterable[str], pattern: Pattern, stack: bool, where: str) -> Plan:
    """Sort arrays by what their names say. Videos with missing or double chunks become faults.

    Raises ImportFailed where no name fits.
    """
    plan = Plan({}, stack=stack)
    plan.layout = {"pattern": pattern.text, "join": "stack" if stack else "concatenate"}
    written: dict[str, set[str]] = defaultdict(set)  # id → as the source writes it
    found: dict[str, dict[str, Chunks]] = {}
    for name in names:
        place = pattern.place(name)
        if place is None:
            plan.passed_over[name] = f"does not fit {pattern.text}"
            continue
        video = video_id(place.video)
        try:
            check_video_id(video)
        except InvalidName as error:
            plan.passed_over[name] = str(error)
            continue
        written[video].add(place.video)
        chunks = found.setdefault(video, {}).setdefault(place.stream or STREAM, {})
        chunks.setdefault(place.chunk, []).append(name)
    if not found:
        raise ImportFailed(f"{where}: no array fits {pattern.text}: found {some(list(plan.passed_over), 4)}")
    first = _first_chunk(found) if pattern.chunked else None
    for video, streams in found.items():
        fault = _fault(written[video], streams, first)
        if fault:
            plan.faults[video] = fault
        else:
            plan.arrays[video] = {
                stream: [name for _, (name,) in sorted(chunks.items(), key=lambda item: item[0] or 0)]
                for stream, chunks in sorted(streams.items())
            }
    return plan


def _first_chunk(found: dict[str, dict[str, Chunks]]) -> int:
    """Chunks are counted from 0, or from 1 where no video has a chunk 0."""
    least = min(chunk or 0 for streams in found.values() for chunks in streams.values() for chunk in chunks)
    return min(least, 1)


def _fault(written: set[str], streams: dict[str, Chunks], first: int | None) -> Fault | None:
    if len(written) > 1:
        return Fault("double_name", f"several names mean this video: {some(sorted(written))}")
    for stream, chunks in streams.items():
        double = next((names for names in chunks.values() if len(names) > 1), None)
        if double:
            return Fault("double_chunk", f"stream {stream!r}: several arrays for one place: {some(double)}")
    if first is None:
        return None
    last = max(chunk or 0 for chunks in streams.values() for chunk in chunks)
    for stream, chunks in streams.items():
        missing = [str(chunk) for chunk in range(first, last + 1) if chunk not in chunks]
        if missing:
            return Fault(
                "missing_chunk",
                f"stream {stream!r}: of the chunks {first} to {last}, {some(missing)} missing",
            )
    return None
