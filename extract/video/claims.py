"""What a container says of its video, as far as that can be checked against what decodes."""

import re
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.container import Container, InputContainer
from av.format import Flags
from av.video.stream import VideoStream

_WHOLE_FILE = {"asf", "wtv", "smjpeg"}
_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_EBML_HEADER, _EBML_SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
# A file that was read up to here was read whole: an index or tags may follow the last frame.
_READ_WHOLE = 0.9
_TS_PACKETS = (188, 192, 204)
_MAY_DECLARE = {"mp4", "webm", "flv"}


@dataclass(frozen=True)
class Claims:
    """What a container claims.

    seconds: from the first frame to the end of the last one; None where it does not say.
    frames: how many are shown; 0 where it does not say.
    missing_share: of the bytes that the file says it has; 0 where it does not say.
    proven_whole: every byte is there that the file says it has, and was read: nothing can be lost at its
        end, whatever length it declares.
    cut_off: the file ends within a frame.
    doubt: why nothing tells whether something is missing at its end; empty otherwise.
    """

    seconds: Fraction | None = None
    frames: int = 0
    missing_share: Fraction = Fraction(0)
    proven_whole: bool = False
    cut_off: bool = False
    doubt: str = ""


def claims(
    path: Path, container: InputContainer, stream: VideoStream, start_ticks: int, read_bytes: int
) -> Claims:
    """Of a file that was read to its end.

    `start_ticks`: time of its first packet. `read_bytes`: where its last one ends.
    """
    formats = set(container.format.name.split(","))
    size = path.stat().st_size
    if "mp4" in formats and stream.frames:
        return _by_sample_table(stream)
    if "yuv4mpegpipe" in formats:
        return Claims(cut_off=read_bytes < size)
    if time_may_jump(container):
        ragged = "mpegts" in formats and all(size % length for length in _TS_PACKETS)
        return Claims(doubt="it ends within a packet" if ragged else "")
    seconds = declared_seconds(container, stream, start_ticks)
    declared = declared_bytes(path)
    if declared is None:
        silent = seconds is None and formats & _MAY_DECLARE
        return Claims(seconds, doubt="it declares no length" if silent else "")
    missing = Fraction(max(0, declared - size), declared)
    return Claims(
        seconds, missing_share=missing, proven_whole=not missing and read_bytes >= _READ_WHOLE * declared
    )


def time_may_jump(container: Container) -> bool:
    """Whether timestamps may go on from anywhere (MPEG, Ogg); their lengths are mere estimates."""
    return _has_flag(container, Flags.ts_discont)


def declared_seconds(
    container: InputContainer, stream: VideoStream, start_ticks: int | None = None
) -> Fraction | None:
    """Length of the video stream as the container declares it; None where it does not.

    `start_ticks`: time of its first packet, where that was read.

    Matroska keeps the time of its end, in a tag of the stream. The length of the whole container is
    believed only where the video is alone in it: sound may be longer. For NUT and bare streams, FFmpeg
    gives its own guess, made from the bit rate.
    """
    if _has_flag(container, Flags.no_timestamps) or container.format.name == "nut":
        return None
    tag = _DURATION.match(stream.metadata.get("DURATION", ""))
    # FFmpeg gives every stream of these the length of the whole file.
    whole = not _WHOLE_FILE.isdisjoint(container.format.name.split(",")) and len(container.streams) > 1
    if stream.duration and stream.time_base and not whole:
        end = stream.duration * stream.time_base
    elif tag:
        hours, minutes, seconds = (Fraction(part) for part in tag.groups())
        end = hours * 3600 + minutes * 60 + seconds
    elif container.duration and len(container.streams) == 1:
        end = Fraction(container.duration, av.time_base)
    else:
        return None
    if "matroska" in container.format.name and stream.time_base:
        end -= max(0, start_ticks or stream.start_time or 0) * stream.time_base
    return max(end, Fraction(0))


def _by_sample_table(stream: VideoStream) -> Claims:
    """MP4 and QuickTime list every frame; those that an edit list hides are marked, or are not in the list.

    Their table is all that is needed: the durations beside it can be wrong.
    """
    times = [entry.timestamp for entry in stream.index_entries if not entry.is_discard]
    if len(times) < 2 or stream.time_base is None:
        return Claims(frames=len(times))
    span = (max(times) - min(times)) * stream.time_base
    return Claims(span + span / (len(times) - 1), len(times))


def declared_bytes(path: Path) -> int | None:
    """How long a Matroska or AVI file says it is; None for others, and where it does not say."""
    with path.open("rb") as file:
        header = file.read(4096)
        if header[:4] == b"RIFF" and header[8:12] == b"AVI ":
            return _riff_bytes(file)
    if header[:4] != _EBML_HEADER:
        return None
    length, after = _ebml_size(header, 4)
    segment = after + (length or 0)
    if header[segment : segment + 4] != _EBML_SEGMENT:
        return None
    length, after = _ebml_size(header, segment + 4)
    return None if length is None else after + length


def _riff_bytes(file: BinaryIO) -> int | None:
    """An AVI is one chunk, or several of a gigabyte each (OpenDML)."""
    end = 0
    while True:
        file.seek(end)
        header = file.read(8)
        if header[:4] != b"RIFF" or len(header) < 8:
            return end or None
        (size,) = struct.unpack("<I", header[4:])
        if size in (0, 0xFFFFFFFF):  # a recorder that was never stopped
            return None
        end += 8 + size + size % 2


def _has_flag(container: Container, flag: Flags) -> bool:
    return bool(container.format.flags & flag.value)  # type: ignore[operator]  # an int, unlike its stub


def _ebml_size(data: bytes, at: int) -> tuple[int | None, int]:
    """(the EBML number at that place, None if unknown; the place after it); see RFC 8794, section 4."""
    if at >= len(data):
        return None, at
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else value, at + width
