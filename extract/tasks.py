"""What there is to extract, what becomes of it, and all that a process needs to know to do it."""

from dataclasses import dataclass
from pathlib import Path

from config.schema import EncoderSettings
from extract.location import Location
from extract.video.clock import LARGEST_GAP_SECONDS
from extract.video.decode import VideoInfo


@dataclass(frozen=True)
class VideoTask:
    """A video and the encoders that still lack it.

    file_bytes: of its file; 0 if it cannot be told.
    largest_gap_seconds: between two frames; a longer one is refused.
    refresh: the store may have features of it, which are outdated.
    """

    video: str
    path: Location
    encoders: tuple[str, ...]
    file_bytes: int = 0
    largest_gap_seconds: float = LARGEST_GAP_SECONDS
    refresh: bool = False


@dataclass(frozen=True)
class Extracted:
    """The video's features were handed to the writer."""

    task: VideoTask
    info: VideoInfo
    feature_bytes: int


@dataclass(frozen=True)
class Refused:
    """The video gave no features. `kind`: see extract.errors; `crash`, `timeout` or `defect` where the
    program itself failed on it."""

    task: VideoTask
    kind: str
    message: str


Outcome = Extracted | Refused


@dataclass(frozen=True)
class Recipe:
    """How to extract a dataset: plain values, so that it may travel to other processes and machines."""

    store: Path
    backend: str
    dataset: str
    encoders: tuple[EncoderSettings, ...]
    workers: int
    """Decode processes for each device; 0 decodes in the process of the encoders."""
    time_budget_seconds: float
    """A decode worker that works for so long without giving anything is killed, and its video refused."""
    commit_seconds: float
    """Finished videos are committed at least this often: what an interruption may cost."""
    largest_gap_seconds: float = LARGEST_GAP_SECONDS
    """See VideoTask."""
