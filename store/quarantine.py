"""Videos that gave no features, and why: one JSON object a line, in files that are only ever appended to.

Each process has a file of its own, quarantine-<unique>.jsonl, as file systems over a network do not append
for several at once. Object storage cannot append at all: there every entry is such a file. Together they are
one list, with quarantine.jsonl, which earlier versions shared.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from store.durable.owner import own_unique
from store.errors import read_failed
from store.files import Files
from store.ids import check_video_id, storable_id

log = logging.getLogger(__name__)

Order = tuple[int, str, int]
"""Of a line: its sequence, file, and place in it."""


@dataclass(frozen=True)
class QuarantineEntry:
    """Why a video has no features."""

    video: str
    reason: str
    error_type: str
    path: str | None
    time: str
    """ISO 8601, UTC, by the clock of who added it."""


class Quarantine:
    """The quarantine of a feature set. Any number of processes may append at once.

    A removal is a line, too: what another process appends meanwhile is not lost. Of the lines about a video,
    the one with the highest sequence counts: it is made higher than all that its writer could read, so that
    no clock decides.
    """

    def __init__(self, files: Files, create: Callable[[], None]) -> None:
        self._files = files
        self._create = create
        self._read: dict[str, tuple[int, int]] = {}
        """File → bytes and lines that have been read."""
        self._last: dict[str, tuple[Order, QuarantineEntry | None]] = {}
        """Video → what its latest line says."""
        self._sequence = 0
        self._lock = Lock()

    def add(self, video: str, reason: str, error_type: str, path: str | Path | None = None) -> None:
        """Record durably that a video gave no features; a later entry of the same video replaces this one."""
        entry = {"video": check_video_id(video), "path": None if path is None else str(path)}
        self._append(entry | {"error_type": error_type, "reason": reason})

    def remove(self, videos: str | Iterable[str]) -> None:
        """Take videos off the list, all or none of them. Videos that are not on it are no error."""
        wanted = {storable_id(video) for video in ([videos] if isinstance(videos, str) else videos)}
        listed = sorted(wanted & {entry.video for entry in self.entries()})
        if listed:
            self._append({"removed": listed})

    def entries(self) -> list[QuarantineEntry]:
        """The videos on the list, in the order of their entries. What is no whole line is passed over."""
        with self._lock:
            self._catch_up()
            found = sorted((last for last in self._last.values() if last[1]), key=lambda last: last[0])
        return [entry for _, entry in found if entry]

    def __len__(self) -> int:
        return len(self.entries())

    def _append(self, record: dict[str, Any]) -> None:
        self._create()
        with self._lock:
            self._catch_up()
            self._sequence = max(time.time_ns(), self._sequence + 1)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            line = json.dumps(record | {"time": now, "sequence": self._sequence}) + "\n"
            self._files.append(f"quarantine-{own_unique()}", line.encode("ascii"))

    def _catch_up(self) -> None:
        there = self._files.names()
        names = [name for name in there if name.startswith("quarantine") and name.endswith(".jsonl")]
        if there and not self._read.keys() <= set(names):
            # A person has deleted a file: what it said does not count any more.
            self._read.clear()
            self._last.clear()
        grown = [
            (name, self._files.read(name, self._read[name][0]) or b"") for name in names if name in self._read
        ]
        new = [name for name in names if name not in self._read]
        for name, data in [*grown, *self._files.read_all(new)]:
            if isinstance(data, FileNotFoundError):
                continue
            if isinstance(data, OSError):
                raise read_failed(f"{self._files.location}/{name}", data)
            # A last line without its end may still be in the writing.
            whole, newline, _ = data.rpartition(b"\n")
            if not newline:
                continue
            lines = whole.split(b"\n")
            at, number = self._read.get(name, (0, 0))
            self._read[name] = at + len(whole) + 1, number + len(lines)
            for place, line in enumerate(lines, start=number + 1):
                self._take(name, place, line)

    def _take(self, name: str, place: int, line: bytes) -> None:
        if not line.strip():
            return
        try:
            record = json.loads(line)
            sequence = int(record["sequence"]) if "sequence" in record else _nanoseconds(record["time"])
            if "removed" in record:
                said = dict.fromkeys(map(str, record["removed"]))
            else:
                fields = {key: record[key] for key in ("video", "reason", "error_type", "time")}
                said = {str(record["video"]): QuarantineEntry(**fields, path=record.get("path"))}
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning(
                "%s/%s: line %d is not a whole entry and is passed over", self._files.location, name, place
            )
            return
        self._sequence = max(self._sequence, sequence)
        for video, entry in said.items():
            order = (sequence, name, place)
            present = self._last.get(video)
            # Within one file the later line counts: those of earlier versions have but a time.
            if present is None or present[0] < order or present[0][1] == name:
                self._last[video] = order, entry

    def __getstate__(self) -> dict[str, Any]:
        return {"_files": self._files, "_create": self._create}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_files"], state["_create"])  # type: ignore[misc]


def _nanoseconds(moment: str) -> int:
    """Of an entry without a sequence, in the same order of magnitude."""
    return int(datetime.fromisoformat(moment).timestamp() * 1e9)
