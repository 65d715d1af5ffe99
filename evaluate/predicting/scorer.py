"""Scores of video files by a trained run, a model on the hub, or the embedded model."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from config.errors import Problem
from config.load import EMBEDDED_MODEL
from evaluate.errors import StretchError
from evaluate.predicting.curve import Windows, curve_of
from evaluate.predicting.scores import Moment, VideoScore, video_score
from evaluate.scoring.keeping import KeptAnswers, require_kept
from evaluate.scoring.model import load_trained
from evaluate.watching.stretch import Stretch
from evaluate.watching.watcher import Watched, Watcher
from extract.errors import UnreadableVideo
from extract.job.sources import is_url
from extract.location import Location, RemoteVideo, status
from train.errors import TrainError
from train.pretrained import TrainedModel


@dataclass(frozen=True)
class Asked:
    """What is asked about each video: a stretch of it, from `start` to `end` seconds; a curve."""

    start: float = 0.0
    end: float | None = None
    windows: Windows | None = None
    """Of the curve."""

    @property
    def stretch(self) -> Stretch | None:
        """None is the whole video."""
        return Stretch(self.start, self.end) if self.start or self.end is not None else None


class Scorer:
    """Scores videos on 0–100, 100 is best.

    >>> from evaluate import Scorer
    >>> scorer = Scorer()                                          # the embedded model
    >>> result = scorer.score("clip.mp4", per_second=True)         # doctest: +SKIP
    >>> result.score, result.low, result.high, result.worst.start  # doctest: +SKIP
    """

    def __init__(self, run: str | Path = EMBEDDED_MODEL, device: str = "auto") -> None:
        """`run`: a run's or model's folder, or a hub id; `device`: `auto` is a GPU where there is one.

        Raises RunError, NoSuchDevice, and what loading a decoder raises.
        """
        self.trained: TrainedModel = load_trained(Path(run), device)
        self._watcher = Watcher(self.trained)

    def score(
        self,
        video: str | Path,
        *,
        per_second: bool = False,
        windows: Windows | None = None,
        start: float = 0.0,
        end: float | None = None,
    ) -> VideoScore:
        """Of a file. `per_second`: with a curve of seconds; `windows`: of other stretches.

        Raises UnreadableVideo, and StretchError where the video has nothing between `start` and `end`, or a
        curve is asked for that the run's encoders cannot give.
        """
        watched = self._watcher.watch(Path(video))
        asked = Asked(start, end, windows or (Windows() if per_second else None))
        found, problem = self._scored(str(video), watched, asked)
        if problem is not None:
            raise problem
        return found

    def score_all(
        self,
        videos: Sequence[str | Location],
        asked: Asked | None = None,
        *,
        workers: int = 0,
        keep: Path | None = None,
    ) -> Generator[tuple[int, VideoScore]]:
        """Each video's number with its score, as they are ready; one that cannot be scored has its `error`.

        What a curve cannot be had of is told in `warnings`. `workers`: processes that decode; 0 decodes in
        this one. `keep`: a file of JSON lines that scores are added to as they come; what it has by the same
        run of the same file is not done again. Raises RunError where `keep` cannot be written or read.
        """
        asked = asked or Asked()
        if keep is not None:
            require_kept(keep)
        kept = KeptAnswers(keep, self.trained)
        located = [_located(video) for video in videos]
        keys = [kept.key(self._decides(video, asked)) if keep else "" for video in located]
        waiting = []
        for number, key in enumerate(keys):
            if (known := kept.get(key)) is None:
                waiting.append(number)
            else:
                yield number, VideoScore.of_json(known["result"])
        places = [located[number] for number in waiting]
        for place, watched in self._watcher.watch_all(places, workers):
            number = waiting[place]
            found = self._found(str(located[number]), watched, asked)
            if keep and found.error is None:
                kept.add(keys[number], {"result": found.as_json()})
            yield number, found

    def _decides(self, video: Location, asked: Asked) -> Mapping[str, Any]:
        """All that a score follows from, beside the run."""
        try:
            size, modified = status(video)
        except Exception:  # noqa: BLE001 - each storage has errors of its own, which reading it will tell
            size, modified = 0, ""
        scale = self.trained.settings.pipeline.std_scale
        return {"video": str(video), "file": [size, modified], "asked": asdict(asked), "std_scale": scale}

    def _found(self, video: str, watched: Watched | UnreadableVideo, asked: Asked) -> VideoScore:
        if isinstance(watched, UnreadableVideo):
            return _failed(video, watched)
        try:
            return self._scored(video, watched, asked)[0]
        except (TrainError, StretchError) as error:
            return _failed(video, error, watched.warnings)

    def _scored(self, video: str, watched: Watched, asked: Asked) -> tuple[VideoScore, StretchError | None]:
        """With why there is no curve, where one was asked for."""
        stretch, curve, problem = asked.stretch, tuple[Moment, ...](), None
        begin, end = (0.0, watched.seconds) if stretch is None else watched.span(stretch)
        (found,) = self.trained.predict([self._watcher.medium(watched, stretch)])
        warnings = watched.warnings
        if asked.windows is not None:
            try:
                curve = curve_of(self.trained, self._watcher, watched, asked.windows, begin, end)
            except StretchError as error:
                problem = error
                warnings = (*warnings, f"no curve: {error}".replace(f"{video}: ", ""))
        dataset = self.trained.settings.dataset
        return video_score(video, found, dataset, watched.seconds, curve, warnings), problem


def _located(video: str | Location) -> Location:
    if isinstance(video, str):
        return RemoteVideo(video) if is_url(video) else Path(video)
    return video


def _failed(video: str, error: Problem, warnings: tuple[str, ...] = ()) -> VideoScore:
    reason = str(error).removeprefix(video).removeprefix(": ").lstrip()
    return VideoScore(video, error=reason, warnings=warnings)
