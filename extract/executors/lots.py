"""Videos in lots: what a process takes at a time, what becomes of it, and how both lie in files."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, Self

from extract.location import RemoteVideo
from extract.tasks import Extracted, Outcome, Refused, VideoTask
from extract.video.decode import VideoInfo

MAX_VIDEOS = 64
"""Of a lot: what is done twice, at most, when a process dies."""

_BEFORE_PER_VIDEO = 256
_DEATHS_OF_A_LOT = 3
_DEATHS_OF_A_VIDEO = 2


@dataclass(frozen=True)
class Lot:
    """Videos that one process takes at a time. `deaths`: how many processes it may cost."""

    name: str
    tasks: tuple[VideoTask, ...]
    deaths: int = _DEATHS_OF_A_LOT

    @classmethod
    def parse(cls, name: str, content: bytes) -> Self:
        """From the content of a file."""
        fields = json.loads(content)
        return cls(name, tuple(map(_task, fields["tasks"])), fields["deaths"])

    def content(self) -> bytes:
        """For a file that is named like the lot."""
        return _json({"tasks": self.tasks, "deaths": self.deaths})

    def apart(self) -> "Iterator[Lot]":
        """Each video as a lot of its own, so that only a deadly one is given up."""
        for number, task in enumerate(self.tasks):
            yield Lot(f"{self.name}-{number:03}", (task,), _DEATHS_OF_A_VIDEO)


@dataclass(frozen=True)
class Result:
    """What became of a lot. `worker`: who says so. `seconds`: of each phase, spent since its last result."""

    worker: str
    outcomes: list[Outcome]
    seconds: dict[str, float]

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """From the content of a file."""
        fields = json.loads(content)
        return cls(fields["worker"], list(map(_outcome, fields["outcomes"])), fields["seconds"])

    def content(self) -> bytes:
        """For a file."""
        return _json(vars(self))


def cut(tasks: Iterable[VideoTask], max_videos: int = MAX_VIDEOS) -> Iterator[Lot]:
    """Every task that needs an encoder, in lots of consecutive ones, while the tasks are read.

    A lot spans a 256th as many tasks as stand before it, at least 1 and at most `max_videos`: so it is a
    small share of a process's work, in a small job as in a large one, and no size need be known.
    """
    gathered: list[VideoTask] = []
    number = start = 0
    for position, task in enumerate(tasks, start=1):
        gathered.append(task)
        if position - start >= min(max_videos, max(1, start // _BEFORE_PER_VIDEO)):
            yield from _lot(number, gathered)
            gathered, start, number = [], position, number + 1
    yield from _lot(number, gathered)


def _lot(number: int, tasks: list[VideoTask]) -> Iterator[Lot]:
    needed = tuple(task for task in tasks if task.encoders)
    if needed:
        yield Lot(f"lot-{number:08}", needed)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, default=_plain).encode()


def _plain(value: Any) -> Any:
    return vars(value) if is_dataclass(value) else str(value)


def _outcome(fields: dict[str, Any]) -> Outcome:
    task = _task(fields.pop("task"))
    if "info" not in fields:
        return Refused(task, **fields)
    info = fields.pop("info")
    return Extracted(task, VideoInfo(**{**info, "warnings": tuple(info["warnings"])}), **fields)


def _task(fields: dict[str, Any]) -> VideoTask:
    path = fields["path"]
    location = RemoteVideo(**path) if isinstance(path, dict) else Path(path)
    return VideoTask(**{**fields, "path": location, "encoders": tuple(fields["encoders"])})
