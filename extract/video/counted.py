"""Chunks of frames that are chosen by their numbers in the video, whatever their times are."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from extract.video.pictures import Form, PictureMaker, Source
from extract.video.view import Allocate, Chunk, FrameRequest, View


@dataclass(frozen=True)
class Group:
    """Frames that are of use only together: their numbers, counted from 0.

    needs: the group counts where the video has at least so many frames: more than its last number, and
        as many more as whoever defined it wanted to follow.
    """

    frames: tuple[int, ...]
    needs: int


class Numbering(Protocol):
    """Which frames an encoder wants; small enough to be sent to a process."""

    def chunk(self, rate: int, index: int) -> Mapping[str, Sequence[Group]]:
        """The groups that each request has in a chunk of a video of `rate` frames a second.

        The video's length is not known yet: a chunk whose groups do not count is left out, and so are those
        of the last one that do not. Within a request, `needs` grows. Every chunk has a group, and the first
        one has a group of each request. A frame may be in several groups, and in two chunks in a row.
        """
        ...


@dataclass(frozen=True)
class CountedView:
    """How an encoder looks at a video by the numbers of its frames.

    requests: name → what its frames are like; their rule is `all`, of those that the numbering names.
    chunk_seconds: about how long a chunk lasts, for estimates.
    """

    requests: Mapping[str, FrameRequest]
    numbering: Numbering
    chunk_seconds: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if any(request.rule != "all" for request in self.requests.values()):
            raise ValueError("the numbering alone says which frames: requests must have the rule `all`")


AnyView = View | CountedView


class CountedCutter:
    """Chunks of numbered frames. Holds the pictures of a chunk, and the first ones of the next.

    In a video too short for any group of a request, its first one is given all the same: the last frame
    stands for those that are missing.
    """

    def __init__(
        self, view: CountedView, maker: PictureMaker, frame_seconds: Fraction, allocate: Allocate
    ) -> None:
        """`frame_seconds`: the nominal interval of the frames. Their rate counts as a whole number."""
        rate = max(1, int(1 / frame_seconds + Fraction(1, 2)))
        self._numbers = partial(view.numbering.chunk, rate)
        self._forms = {name: maker.form(request) for name, request in view.requests.items()}
        self._allocate = allocate
        self._open: deque[_OpenChunk] = deque()
        self._coming = self._planned(0)
        self._read = 0
        self._last: Source | None = None

    def add(self, source: Source, seconds: Fraction) -> Iterator[Chunk]:
        """The next frame, and when it is shown; gives the chunks that are complete without it."""
        while self._open and self._open[0].needs <= self._read:
            yield self._open.popleft().cut(self._read)
        while self._coming.first <= self._read:
            self._coming.begin(self._allocate, seconds)
            self._open.append(self._coming)
            self._coming = self._planned(self._coming.index + 1)
        for chunk in self._open:
            chunk.write(self._read, source)
        self._read += 1
        self._last = source

    def finish(self, _duration_seconds: Fraction, _frame_seconds: Fraction) -> Iterator[Chunk]:
        """What is left, once all frames are read."""
        for chunk in self._open:
            if chunk.index == 0 and self._last is not None:
                chunk.make_do(self._read, self._last)
                self._last.settle()
            if chunk.counts(self._read):
                yield chunk.cut(self._read)

    def _planned(self, index: int) -> "_OpenChunk":
        groups = self._numbers(index)
        return _OpenChunk(index, [_Part(name, form, groups[name]) for name, form in self._forms.items()])


class _OpenChunk:
    """A chunk that is being read."""

    def __init__(self, index: int, parts: "list[_Part]") -> None:
        self.index = index
        self._parts = parts
        groups = [group for part in parts for group in part.groups]
        self.first = min(min(group.frames) for group in groups)
        self.needs = max(group.needs for group in groups)
        self._seconds = 0.0

    def begin(self, allocate: Allocate, seconds: Fraction) -> None:
        self._seconds = float(seconds)
        for part in self._parts:
            part.begin(allocate)

    def write(self, number: int, source: Source) -> None:
        for part in self._parts:
            for row in part.rows.get(number, ()):
                source.write(part.form, part.pictures[row])

    def make_do(self, frames: int, last: Source) -> None:
        """Of each request that would have nothing, fill the first group up and let it count."""
        for part in self._parts:
            if not part.counting(frames):
                part.groups = [Group(part.groups[0].frames, frames)]
                for row, number in enumerate(part.groups[0].frames):
                    if number >= frames:
                        last.write(part.form, part.pictures[row])

    def counts(self, frames: int) -> bool:
        return any(part.counting(frames) for part in self._parts)

    def cut(self, frames: int) -> Chunk:
        """What counts of it in a video of at least so many frames."""
        pictures = {part.name: part.pictures[: part.counting(frames)] for part in self._parts}
        return Chunk(self.index, self._seconds, pictures)


class _Part:
    """One request's pictures of a chunk."""

    def __init__(self, name: str, form: Form, groups: Sequence[Group]) -> None:
        self.name = name
        self.form = form
        self.groups = groups
        self.rows: dict[int, list[int]] = {}
        """Number of a frame → where its picture goes."""
        numbers = [number for group in groups for number in group.frames]
        for row, number in enumerate(numbers):
            self.rows.setdefault(number, []).append(row)
        self._count = len(numbers)
        self.pictures: NDArray[np.uint8]

    def begin(self, allocate: Allocate) -> None:
        self.pictures = allocate(self.name, (self._count, *self.form.shape))

    def counting(self, frames: int) -> int:
        """How many of its pictures are in groups that count."""
        return sum(len(group.frames) for group in self.groups if group.needs <= frames)
