"""Cuts the decoded frames into the chunks of a view; each is scaled as soon as it is sure to be used."""

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from extract.video.counted import AnyView, CountedCutter, CountedView
from extract.video.pictures import Form, Picture, PictureMaker, Source
from extract.video.sampling import chunk_of, frame_indices
from extract.video.view import Allocate, Chunk, FrameRequest, View

_HELD_BYTES = 256 * 2**20


class SampledCutter:
    """Chunks of some of their frames. A chunk without frames of its own shows the last frame before it.

    Which of a chunk's frames are used is known only at its end: those that would be used at the nominal
    frame rate are scaled at once, while they are in the processor's cache; of the others, the decoded
    frame is held.
    """

    def __init__(self, view: View, maker: PictureMaker, frame_seconds: Fraction, allocate: Allocate) -> None:
        self._view = view
        expected = max(1, round(view.chunk_seconds / frame_seconds))
        self._rows = {
            name: _Rows(request, maker.form(request), expected, partial(allocate, name))
            for name, request in view.requests.items()
        }
        self._index = 0
        self._last: Source | None = None

    def add(self, source: Source, seconds: Fraction) -> Iterator[Chunk]:
        """The frame that is shown at that time, from the first one; gives the chunks that are complete."""
        index = chunk_of(seconds, self._view.chunk_seconds)
        if index > self._index:
            yield from self._until(index)
        for rows in self._rows.values():
            rows.add(source)
        self._last = source

    def finish(self, duration_seconds: Fraction, frame_seconds: Fraction) -> Iterator[Chunk]:
        """What is left, once the video's length is known."""
        yield from self._until(self._view.count(duration_seconds, frame_seconds))

    def _until(self, index: int) -> Iterator[Chunk]:
        while self._index < index and self._last is not None:
            frames = {name: rows.take(self._last) for name, rows in self._rows.items()}
            yield Chunk(self._index, float(self._index * self._view.chunk_seconds), frames)
            self._index += 1


class _Rows:
    """One request's pictures of the chunk that is being read, each in the row where it is expected."""

    def __init__(
        self,
        request: FrameRequest,
        form: Form,
        expected: int,
        allocate: Callable[[tuple[int, ...]], NDArray[np.uint8]],
    ) -> None:
        self._request = request
        self._form = form
        self._allocate = allocate
        self._expected: dict[int, int] = {}
        """Position of a frame in the chunk → its row, at the nominal frame rate."""
        for row, position in enumerate(frame_indices(expected, request.count, request.rule)):
            self._expected.setdefault(position, row)
        self._rows: NDArray[np.uint8] | None = None
        self._held: dict[int, Source | Picture] = {}
        self._held_bytes = 0
        self._frames = 0

    def add(self, source: Source) -> None:
        """The chunk's next frame."""
        if self._rows is None:
            self._rows = self._allocate((self._request.count, *self._form.shape))
        position = self._frames
        self._frames += 1
        if position in self._expected:
            source.write(self._form, self._rows[self._expected[position]])
        elif self._request.rule != "first" or position < self._request.count:
            self._held[position] = source
            self._held_bytes += source.bytes
            if self._held_bytes > _HELD_BYTES:
                self._held = {place: self._picture(held) for place, held in self._held.items()}
                self._held_bytes = 0

    def take(self, last: Source) -> NDArray[np.uint8]:
        """uint8 [count, *picture] of the chunk; the next one begins. `last`: shown where it has no frames."""
        if not self._frames:
            self.add(last)
            last.settle()
        rows, self._rows = self._rows, None
        assert rows is not None
        chosen = frame_indices(self._frames, self._request.count, self._request.rule)
        self._arrange(rows, chosen)
        self._frames, self._held_bytes = 0, 0
        self._held.clear()
        return rows

    def _arrange(self, rows: NDArray[np.uint8], chosen: list[int]) -> None:
        """Put the chosen pictures in order, wherever the frames were not as many as expected."""
        first_row = {position: row for row, position in reversed(list(enumerate(chosen)))}
        moved = any(self._expected.get(position, row) != row for position, row in first_row.items())
        before = rows.copy() if moved else rows
        for row, position in enumerate(chosen):
            if first_row[position] != row:
                rows[row] = rows[first_row[position]]
            elif position not in self._expected:
                self._write(self._held[position], rows[row])
            elif self._expected[position] != row:
                rows[row] = before[self._expected[position]]

    def _write(self, held: Source | Picture, out: Picture) -> None:
        if isinstance(held, np.ndarray):
            out[:] = held
        else:
            held.write(self._form, out)
            held.settle()

    def _picture(self, held: Source | Picture) -> Picture:
        picture = np.empty(self._form.shape, np.uint8)
        self._write(held, picture)
        return picture


class WholeCutter:
    """Chunks of every frame, with the view's margin of frames of their neighbours on either side.

    A chunk without frames of its own is left out.
    """

    def __init__(self, view: View, maker: PictureMaker, allocate: Allocate) -> None:
        self._view = view
        self._allocate = allocate
        self._forms = {name: maker.form(request) for name, request in view.requests.items()}
        self._pictures: deque[dict[str, Picture]] = deque()
        self._first = 0
        """Number of the first frame in `_pictures`, counted from the video's first one."""
        self._read = 0
        self._waiting: deque[tuple[int, int, int]] = deque()
        """(index, first frame, frame after the last) of chunks that have not been given yet."""

    def add(self, source: Source, seconds: Fraction) -> Iterator[Chunk]:
        """See SampledCutter."""
        index = chunk_of(seconds, self._view.chunk_seconds)
        start = self._waiting.pop()[1] if self._waiting and self._waiting[-1][0] == index else self._read
        pictures = {name: np.empty(form.shape, np.uint8) for name, form in self._forms.items()}
        for name, form in self._forms.items():
            source.write(form, pictures[name])
        self._pictures.append(pictures)
        self._read += 1
        self._waiting.append((index, start, self._read))
        sure = self._read - self._view.multiple + 1  # of these frames none is left out in the end
        while len(self._waiting) > 1 and self._waiting[0][2] + self._view.margin <= sure:
            yield self._next()

    def finish(self, duration_seconds: Fraction, frame_seconds: Fraction) -> Iterator[Chunk]:
        """See SampledCutter."""
        count = self._view.count(duration_seconds, frame_seconds)
        if self._read >= self._view.multiple:
            self._read -= self._read % self._view.multiple
        while self._waiting and self._waiting[0][0] < count and self._waiting[0][1] < self._read:
            yield self._next()

    def _next(self) -> Chunk:
        index, start, stop = self._waiting.popleft()
        stop = min(stop, self._read)
        begin, end = max(0, start - self._view.margin), min(self._read, stop + self._view.margin)
        while self._first < begin:
            self._pictures.popleft()
            self._first += 1
        shown = list(islice(self._pictures, end - begin))
        frames = {
            name: np.stack(
                [pictures[name] for pictures in shown], out=self._allocate(name, (len(shown), *form.shape))
            )
            for name, form in self._forms.items()
        }
        return Chunk(index, float(index * self._view.chunk_seconds), frames, start - begin, end - stop)


Cutter = SampledCutter | WholeCutter | CountedCutter


def cutter(view: AnyView, maker: PictureMaker, frame_seconds: Fraction, allocate: Allocate) -> Cutter:
    """The cutter for a view. `frame_seconds`: the nominal interval of the frames, to scale ahead by."""
    if isinstance(view, CountedView):
        return CountedCutter(view, maker, frame_seconds, allocate)
    if all(request.rule == "all" for request in view.requests.values()):
        return WholeCutter(view, maker, allocate)
    return SampledCutter(view, maker, frame_seconds, allocate)
