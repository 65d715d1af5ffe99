"""What a run was trained and tested on: every video's score, split and group; and what has changed since."""

import hashlib
import json
from collections.abc import Mapping, Sequence

from store.labels.errors import some
from store.labels.files import Label

Record = tuple[float, str, str | None]
"""Opinion score, split, content group."""
Records = Mapping[str, Record]
"""Video → its record."""


def label_records(split: Mapping[str, Sequence[Label]]) -> dict[str, Record]:
    """The records of a dataset's labels, in the order of their ids."""
    found = {label.video: (label.mos, name, label.group) for name, part in split.items() for label in part}
    return dict(sorted(found.items()))


def labels_digest(records: Records) -> str:
    """16 hexadecimal digits of SHA-256: equal for equal records, in whatever order."""
    canonical = json.dumps(sorted((video, *record) for video, record in records.items()))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def label_changes(before: Records, now: Records, limit: int = 5) -> list[str]:
    """A line for each kind of change: scores that differ, videos gone and come, other splits and groups."""
    both = [video for video in before if video in now]
    scores = [f"{v}: {before[v][0]:.10g} → {now[v][0]:.10g}" for v in both if before[v][0] != now[v][0]]
    splits = [f"{v}: {before[v][1]} → {now[v][1]}" for v in both if before[v][1] != now[v][1]]
    groups = [f"{v}: {before[v][2]} → {now[v][2]}" for v in both if before[v][2] != now[v][2]]
    gone, come = [v for v in before if v not in now], [v for v in now if v not in before]
    kinds = {
        f"of {len(both)} opinion scores differ": scores,
        "videos are in another split": splits,
        "videos are in another content group": groups,
        "videos are no longer there": gone,
        "videos are new": come,
    }
    return [f"{len(found)} {what}: {some(found, limit)}" for what, found in kinds.items() if found]
