"""Which arrays of a source make up which video."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from store.errors import ImportFailed, InvalidName
from store.exchange.arrays import FAULTS
from store.exchange.pattern import Pattern
from store.exchange.source import STREAM, Fault, Options
from store.ids import check_video_id
from store.labels.errors import some
from store.labels.resolve import video_id

Chunks = dict[int | None, list[str]]
"""Chunk number (None where names have none) → names of arrays; a whole source has one of each."""

_LAYOUTS = [
    # MinimalisticVQA and those that build on it: batches of one chunk, [1, …].
    ("{video}/feature_{chunk}_{stream}_feature", False),
    ("{video}/{chunk}", True),
]
"""Pattern of the names without their suffix, and whether an array is one item."""


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


def plan_of_names(names: Sequence[str], options: Options, where: str, suffix: str) -> Plan:
    """Sort arrays by --pattern, by a layout that is known, or, where no name has a `/`, as a video each.

    Raises ImportFailed where none of these fits.
    """
    if options.pattern is not None:
        pattern = Pattern(options.pattern)
        if options.join and not pattern.chunked:
            raise ImportFailed("--join is for patterns with {chunk}: other arrays are a whole stream, [n, …]")
        return plan_by_pattern(names, pattern, pattern.chunked and options.join != "concatenate", where)
    # In one file, a number may as well be a video of a group.
    layouts = _LAYOUTS if suffix else []
    if options.join:
        raise ImportFailed("--join is for --pattern: the layouts that are known need no help")
    for text, stack in layouts:
        pattern = Pattern(text + suffix)
        if all(pattern.place(name) for name in names):
            return plan_by_pattern(names, pattern, stack, where)
    if not any("/" in name for name in names):
        return plan_by_pattern(names, Pattern("{video}" + suffix), False, where)
    known = "".join(f"\n  {text}{suffix}" for text, _ in [*layouts, ("{video}", False)])
    raise ImportFailed(
        f"{where} has no layout that is known:{known}\nFound {some(names, 4)}. Say with --pattern how they"
        f" are to be read, such as --pattern '{{video}}/{{stream}}{suffix}'"
    )


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


def plan_of_export(manifest: Path) -> tuple[Plan, dict[str, Path]]:
    """What an export's manifest says: the plan, and its arrays' names → files. Raises ImportFailed."""
    files: dict[str, Path] = {}
    plan = Plan({})
    try:
        content = json.loads(manifest.read_bytes())
        for video, entry in content["videos"].items():
            names = entry.get("names", entry["files"])
            plan.arrays[video] = {stream: [name] for stream, name in names.items()}
            plan.metas[video] = dict(entry["meta"])
            files |= {
                names[stream]: manifest.parent / _plain(file) for stream, file in entry["files"].items()
            }
        if not plan.arrays:
            raise ValueError("it lists no videos")
        origin = {name: content[name] for name in ("dataset", "encoder", "key", "specification")}
    except FAULTS as error:
        raise ImportFailed(
            f"{manifest} is not the manifest of an export: {error!r}; with --pattern it is passed over"
        ) from None
    plan.layout = {"export": origin}
    return plan, files


def _plain(name: str) -> str:
    if PurePosixPath(name).name != name or name in ("", ".."):
        raise ValueError(f"{name!r} is not the name of a file in this folder")
    return name


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
