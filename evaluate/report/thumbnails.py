"""Key frames of videos, side by side in one small JPEG each, to be put into a page."""

import base64
import io
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from extract.errors import UnreadableVideo
from extract.video.decode import decode
from extract.video.sampling import frame_indices
from extract.video.view import Chunk, FrameRequest, View

FRAMES = 4
LONGEST_SECONDS = 10
"""Frames are taken of so much of a video's beginning, as all before them has to be decoded."""
_LINES = 132
_MOST_BYTES = 24_000
_QUALITIES = (80, 70, 60, 50, 40, 30, 20)
_VIEW = View({"frame": FrameRequest(1, "middle", max_lines=_LINES)})


def strips(files: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, str]]:
    """Video → its frames as a `data:` address; video → why there are none."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        made = dict(zip(files, threads.map(_strip, files.values()), strict=True))
    pictures = {video: found for video, found in made.items() if not isinstance(found, UnreadableVideo)}
    faults = {video: str(found) for video, found in made.items() if isinstance(found, UnreadableVideo)}
    return pictures, faults


def _strip(path: Path) -> str | UnreadableVideo:
    try:
        frames = _key_frames(path)
    except UnreadableVideo as error:
        return error
    return f"data:image/jpeg;base64,{base64.b64encode(_jpeg(np.concatenate(frames, axis=1))).decode()}"


def _key_frames(path: Path) -> list[NDArray[np.uint8]]:
    """[H, W, 3] frames, evenly spread; the middle ones of as many seconds. Raises UnreadableVideo."""
    decoding = decode(path, {"page": _VIEW})
    try:
        there = _frames(chunk for _, chunk in islice(decoding, LONGEST_SECONDS))
    finally:
        decoding.close()
    chosen = frame_indices(len(there), min(FRAMES, len(there)), "uniform")
    return [there[index] for index in chosen]


def _frames(chunks: Iterable[Chunk]) -> list[NDArray[np.uint8]]:
    # Arrays are the decoder's own, which are not used again: `decode` allocates a new one for each.
    return [chunk.frames["frame"][0].transpose(1, 2, 0) for chunk in chunks]


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    """As good as fits into 24 kB; the worst quality where none does."""
    image = Image.fromarray(picture)
    data = b""
    for quality in _QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality, optimize=True)
        data = file.getvalue()
        if len(data) <= _MOST_BYTES:
            break
    return data
