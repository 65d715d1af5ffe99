"""Videos that gave no features, and why: a file of one JSON object a line, only ever appended to."""

import json
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from store.names import check_video_id

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QuarantineEntry:
    """Why a video has no features."""

    video: str
    reason: str
    error_type: str
    path: str | None
    time: str
    """ISO 8601, UTC."""


class Quarantine:
    """quarantine.jsonl of a feature set. Any number of processes may append at once.

    A removal is a line, too: rewriting the file could lose what another process appends meanwhile.
    """

    def __init__(self, file: Path, create_folder: Callable[[], None]) -> None:
        self.file = file
        self._create_folder = create_folder

    def add(self, video: str, reason: str, error_type: str, path: str | Path | None = None) -> None:
        """Record durably that a video gave no features; a later entry of the same video replaces this one."""
        check_video_id(video)
        self._append(
            [
                {
                    "video": video,
                    "path": None if path is None else str(path),
                    "error_type": error_type,
                    "reason": reason,
                    "time": _now(),
                }
            ]
        )

    def remove(self, videos: str | Iterable[str]) -> None:
        """Take videos off the list, all or none of them. Videos that are not on it are no error."""
        wanted = {videos} if isinstance(videos, str) else set(videos)
        listed = sorted(wanted & {entry.video for entry in self.entries()})
        if listed:
            self._append([{"removed": listed, "time": _now()}])

    def entries(self) -> list[QuarantineEntry]:
        """The videos on the list, in the order of their entries. A half-written line is passed over."""
        try:
            lines = self.file.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        current: dict[str, QuarantineEntry] = {}
        for number, line in enumerate(lines, start=1):
            if line.strip():
                self._apply(line, number, current)
        return list(current.values())

    def __len__(self) -> int:
        return len(self.entries())

    def _apply(self, line: bytes, number: int, current: dict[str, QuarantineEntry]) -> None:
        try:
            record = json.loads(line)
            if "removed" in record:
                for video in record["removed"]:
                    current.pop(video, None)
                return
            entry = QuarantineEntry(
                record["video"], record["reason"], record["error_type"], record.get("path"), record["time"]
            )
            current.pop(entry.video, None)
            current[entry.video] = entry
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("%s: line %d is not a whole entry and is passed over", self.file, number)

    def _append(self, records: list[dict[str, Any]]) -> None:
        self._create_folder()
        text = "".join(json.dumps(record) + "\n" for record in records)
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                text = "\n" + text
            os.write(descriptor, text.encode("utf-8"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
