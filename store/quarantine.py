"""Videos that gave no features, and why: one JSON object a line, in a file that is only ever appended to.

In object storage, which cannot append, every append is a file of its own beside it: quarantine-*.jsonl. A
store that is copied from there to a folder, or the other way, keeps its list.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from store.format.names import check_video_id

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
        files = self._files()
        records = [record for file in files for record in _records(file)]
        if len(files) > 1:
            records.sort(key=lambda record: str(record["time"]))
        current: dict[str, QuarantineEntry] = {}
        for record in records:
            for video in record.get("removed", [record.get("video")]):
                current.pop(video, None)
            if "video" in record:
                current[record["video"]] = QuarantineEntry(**record)
        return list(current.values())

    def __len__(self) -> int:
        return len(self.entries())

    def _files(self) -> list[Path]:
        """All files of the list, the one that is appended to first."""
        own = [self.file] if self.file.is_file() else []
        return own + sorted(self.file.parent.glob(f"{self.file.stem}-*{self.file.suffix}"))

    def _append(self, records: list[dict[str, Any]]) -> None:
        self._create_folder()
        self._write("".join(json.dumps(record) + "\n" for record in records))

    def _write(self, text: str) -> None:
        """Append whole lines, durably."""
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                text = "\n" + text
            os.write(descriptor, text.encode("utf-8"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _records(file: Path) -> Iterator[dict[str, Any]]:
    """The file's entries (the fields of QuarantineEntry) and removals (`removed`, a list of videos)."""
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if "removed" in record:
                yield {"removed": [str(video) for video in record["removed"]], "time": record.get("time")}
            else:
                fields = {name: record[name] for name in ("video", "reason", "error_type", "time")}
                yield fields | {"path": record.get("path")}
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("%s: line %d is not a whole entry and is passed over", file, number)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
