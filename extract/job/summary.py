"""What a job did, for programs and for people; and a bar that says how far it is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tqdm import tqdm

from extract.tasks import Extracted, Outcome

_BAR = "{desc}: {percentage:.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"
_SHOWN = 10
_MOSTLY = 0.8


@dataclass(frozen=True)
class Refusal:
    """Why a video is in quarantine."""

    kind: str
    reason: str


@dataclass
class ExtractionSummary:
    """What a job did so far.

    quarantined: video → reason, of this run and of earlier ones. outdated: video → why the features that the
    store still has of it do not hold. chunks: whole seconds of the videos that were done. feature_sets:
    encoder → key and path. device_busy_share: of the time; None where no encoder runs on a device.
    """

    done: int = 0
    already: int = 0
    quarantined: dict[str, Refusal] = field(default_factory=dict)
    newly_quarantined: int = 0
    outdated: dict[str, str] = field(default_factory=dict)
    with_warnings: dict[str, list[str]] = field(default_factory=dict)
    chunks: int = 0
    video_seconds: float = 0.0
    source_bytes: int = 0
    feature_bytes: int = 0
    feature_sets: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: float = 0.0
    phase_seconds: dict[str, float] = field(default_factory=dict)
    device_busy_share: float | None = None

    def add(self, outcome: Outcome) -> None:
        """Count what became of a video."""
        if not isinstance(outcome, Extracted):
            self.newly_quarantined += 1
            return
        self.done += 1
        self.chunks += outcome.info.chunks
        self.video_seconds += outcome.info.duration_seconds
        self.source_bytes += outcome.source_bytes
        self.feature_bytes += outcome.feature_bytes
        if outcome.info.warnings:
            self.with_warnings[outcome.task.video] = list(outcome.info.warnings)

    def progress(self, videos: int, seconds: float) -> str:
        """Such as `120/318 videos, 1.5/s, 2 failed, 3.1 GB written`, of the videos that need something."""
        counted = self.done + self.newly_quarantined
        failed = f", {self.newly_quarantined} failed" if self.newly_quarantined else ""
        rate = counted / max(seconds, 1e-3)
        written = f"{in_bytes(self.feature_bytes)} written"
        return f"{counted}/{videos - self.already} videos, {rate:.2g}/s{failed}, {written}"

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        per_second = 1 / self.seconds if self.seconds else 0.0
        rates = {
            "videos_per_second": round(self.done * per_second, 3),
            "video_seconds_per_second": round(self.video_seconds * per_second, 3),
        }
        return {**asdict(self), "video_seconds": round(self.video_seconds, 3), **rates}

    def lines(self) -> list[str]:
        """For people."""
        warnings = [f"warning: {video}: {'; '.join(some)}" for video, some in self.with_warnings.items()]
        lines = [self._headline(), *self._quarantine(), *_some(warnings)]
        if self.done:
            named = {name: seconds for name, seconds in self.phase_seconds.items() if name != "run"}
            phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in named.items())
            lines += [f"phases (added up over processes): {phases}", *self._limit()]
        return lines + [f"{encoder}@{f['key']}: {f['path']}" for encoder, f in self.feature_sets.items()]

    def _headline(self) -> str:
        refused = f"; {len(self.quarantined)} in quarantine" if self.quarantined else ""
        if self.already and not self.done and not self.newly_quarantined:
            return f"nothing to extract: the features of {self.already} videos are reused{refused}"
        done = f"{self.done} videos ({self.chunks} chunks) in {self.seconds:.1f} s"
        if self.done:
            rates = self.as_json()
            done += (
                f", {rates['videos_per_second']:.2f} videos/s or {rates['video_seconds_per_second']:.1f} s of"
                f" video a second, {in_bytes(self.feature_bytes)} of features"
            )
        return f"{done}; {self.already} were there{refused}"

    def _quarantine(self) -> list[str]:
        if not self.quarantined:
            return []
        counts = Counter(refusal.kind for refusal in self.quarantined.values()).most_common()
        kinds = ", ".join(f"{count} {kind}" for kind, count in counts)
        return [
            f"quarantine ({self.newly_quarantined} new): {kinds}",
            *_some([refusal.reason for refusal in self.quarantined.values()]),
            "  --retry-quarantined tries them again",
        ]

    def _limit(self) -> list[str]:
        """What to change to be faster."""
        if self.device_busy_share is None:
            return []
        share = f"the device was busy {self.device_busy_share:.0%} of the time"
        if self.device_busy_share > _MOSTLY:
            return [f"{share}: it is the limit (more devices would help, more workers would not)"]
        if self.phase_seconds.get("write", 0.0) > _MOSTLY * self.phase_seconds.get("run", 0.0):
            return [f"{share}: writing to the store is the limit"]
        return [f"{share}: decoding is the limit (add --workers, up to the number of cores)"]


def progress_bar(videos: int, quiet: bool = False) -> "tqdm[Any]":
    """Of a job of so many videos, whose list may still be read."""
    return tqdm(total=videos, desc="extract", bar_format=_BAR, disable=quiet or not videos)


def in_bytes(count: float) -> str:
    """For people: `3.1 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _some(lines: Sequence[str]) -> list[str]:
    """Indented, ten at most."""
    more = [f"  … and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [f"  {line}" for line in lines[:_SHOWN]] + more
