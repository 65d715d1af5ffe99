"""Which arrays of a source make up which video: by a pattern of their names, or an export's manifest."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from config.errors import refusing
from store.errors import ImportFailed
from store.exchange.source import STREAM, Fault, Options
from store.labels.errors import some
from store.labels.resolve import video_id

Chunks = dict[int | None, list[str]]
"""Chunk number (None where names have none) → names of arrays; a whole source has one of each."""

_PLACEHOLDERS = {
    "video": r"(?P<video>.+)",
    "stream": r"(?P<stream>[A-Za-z0-9][A-Za-z0-9_-]*)",
    # Not preceded by a digit, so that a number is never divided between two placeholders.
    "chunk": r"(?P<chunk>(?<![0-9])[0-9]+)",
}
_LAYOUTS = [
    # MinimalisticVQA and those that build on it: batches of one chunk, [1, …].
    ("{video}/feature_{chunk}_{stream}_feature", False),
    ("{video}/{chunk}", True),
]
"""Pattern of the names without their suffix, and whether an array is one item."""


@dataclass(frozen=True)
class Place:
    """Where an array belongs."""

    video: str
    """As the source writes it."""
    stream: str | None
    chunk: int | None


class Pattern:
    """Reads names. `{video}` may span directories, `{stream}` is a stream's name, `{chunk}` a number.

    Raises ImportFailed where the text is no pattern.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = re.split(r"\{([^{}]*)\}", text)  # literal, name, literal, name, …, literal
        names = pieces[1::2]
        if "video" not in names or len(set(names)) < len(names) or not set(names) <= _PLACEHOLDERS.keys():
            known = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
            raise ImportFailed(f"--pattern {text}: expected {{video}}, and each of {known} at most once")
        parts = [_PLACEHOLDERS[p] if index % 2 else re.escape(p) for index, p in enumerate(pieces)]
        self._expression = re.compile("".join(parts), re.DOTALL)
        self.chunked = "chunk" in names

    def place(self, name: str) -> Place | None:
        """Where the array of that name belongs; None where the pattern does not fit."""
        found = self._expression.fullmatch(name)
        if found is None:
            return None
        parts = found.groupdict()
        return Place(parts["video"], parts.get("stream"), int(parts["chunk"]) if self.chunked else None)


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
        video = video_id(place.video) if place else ""
        if place is None or not video:
            plan.passed_over[name] = f"does not fit {pattern.text}"
            continue
        written[video].add(place.video)
        chunks = found.setdefault(video, {}).setdefault(place.stream or STREAM, {})
        chunks.setdefault(place.chunk, []).append(name)
    if not found:
        raise ImportFailed(f"{where}: no array fits {pattern.text}: found {some(list(plan.passed_over), 4)}")
    numbers = [chunk or 0 for streams in found.values() for chunks in streams.values() for chunk in chunks]
    # Chunks are counted from 0, or from 1 where no video has a chunk 0.
    first = min(1, *numbers) if pattern.chunked else None
    for video, streams in found.items():
        if fault := _fault(written[video], streams, first):
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
    with refusing(ImportFailed, f"{manifest} is not the manifest of an export (--pattern passes it over)"):
        content = json.loads(manifest.read_bytes())
        for video, entry in content["videos"].items():
            names = entry.get("names", entry["files"])
            plan.arrays[video] = {stream: [name] for stream, name in names.items()}
            plan.metas[video] = dict(entry["meta"])
            for stream, file in entry["files"].items():
                if PurePosixPath(file).name != file or file in ("", ".."):
                    raise ValueError(f"{file!r} is not the name of a file in this folder")
                files[names[stream]] = manifest.parent / file
        if not plan.arrays:
            raise ValueError("it lists no videos")
        origin = {name: content[name] for name in ("dataset", "encoder", "key", "specification")}
    plan.layout = {"export": origin}
    return plan, files


def _fault(written: set[str], streams: dict[str, Chunks], first: int | None) -> Fault | None:
    if len(written) > 1:
        return Fault("double_name", f"several names mean this video: {some(sorted(written))}")
    for stream, chunks in streams.items():
        if double := next((names for names in chunks.values() if len(names) > 1), None):
            return Fault("double_chunk", f"stream {stream!r}: several arrays for one place: {some(double)}")
    if first is None:
        return None
    last = max(chunk or 0 for chunks in streams.values() for chunk in chunks)
    for stream, chunks in streams.items():
        if missing := [chunk for chunk in range(first, last + 1) if chunk not in chunks]:
            where = f"stream {stream!r}: of the chunks {first} to {last}"
            return Fault("missing_chunk", f"{where}, {some(missing)} missing")
    return None
