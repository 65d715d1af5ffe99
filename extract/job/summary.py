"""What a job did, for programs and for people."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from extract.job.progress import in_bytes

_SHOWN = 10
_MOSTLY = 0.8


@dataclass(frozen=True)
class Refusal:
    """Why a video is in quarantine."""

    kind: str
    reason: str


@dataclass(frozen=True)
class ExtractionSummary:
    """What a job did. `quarantined`: video → reason, of this run and of earlier ones."""

    done: int
    already: int
    quarantined: dict[str, Refusal]
    newly_quarantined: int
    with_warnings: dict[str, list[str]]
    chunks: int
    """Whole seconds of the videos that were done."""
    video_seconds: float
    source_bytes: int
    feature_bytes: int
    feature_sets: dict[str, dict[str, str]]
    seconds: float
    phase_seconds: dict[str, float]
    device_busy_share: float | None
    """Of the time; None where no encoder runs on a device."""

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        per_second = 1 / self.seconds if self.seconds else 0.0
        rates = {
            "videos_per_second": round(self.done * per_second, 3),
            "video_seconds_per_second": round(self.video_seconds * per_second, 3),
        }
        return {**asdict(self), **rates}

    def lines(self) -> list[str]:
        """For people."""
        lines = [self._headline(), *self._quarantine()]
        for video, warnings in list(self.with_warnings.items())[:_SHOWN]:
            lines.append(f"  warning: {video}: {'; '.join(warnings)}")
        if self.done:
            named = {name: seconds for name, seconds in self.phase_seconds.items() if name != "run"}
            phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in named.items())
            lines.append(f"phases (added up over processes): {phases}")
            lines.extend(self._limit())
        lines.extend(f"{encoder}@{f['key']}: {f['path']}" for encoder, f in self.feature_sets.items())
        return lines

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
        kinds = ", ".join(f"{count} {kind}" for kind, count in counted(self.quarantined).items())
        lines = [f"quarantine ({self.newly_quarantined} new): {kinds}"]
        lines += [f"  {refusal.reason}" for refusal in list(self.quarantined.values())[:_SHOWN]]
        if len(self.quarantined) > _SHOWN:
            lines.append(f"  … and {len(self.quarantined) - _SHOWN} more in quarantine.jsonl")
        return [*lines, "  --retry-quarantined tries them again"]

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


def counted(refusals: Mapping[str, Refusal]) -> dict[str, int]:
    """Kind of refusal → how many, the most frequent first."""
    return dict(Counter(refusal.kind for refusal in refusals.values()).most_common())
