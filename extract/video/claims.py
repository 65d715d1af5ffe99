"""What a container says of its video, as far as that can be checked against what decodes."""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import Container, InputContainer
from av.format import Flags
from av.stream import Stream
from av.video.stream import VideoStream

from extract.video.sizes import declared_bytes, fragments

_WHOLE_FILE = {"asf", "wtv", "smjpeg"}
_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
# A file that was read up to here was read whole: an index or tags may follow the last frame.
_READ_WHOLE = 0.9
_TS_PACKETS = (188, 192, 204)
_MAY_DECLARE = {"mp4", "webm", "flv"}
_SILENT = "it declares no length"


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
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    start_ticks: int | None,
    read_bytes: int,
    missing_start: int,
) -> Claims:
    """Of a file that was read to its end.

    `start_ticks`: time of its first packet. `read_bytes`: where its last one ends. `missing_start`: frames at
    its start that nothing can decode, because the video was cut out of a longer one.
    """
    formats = set(container.format.name.split(","))
    size = path.stat().st_size
    if "mp4" in formats and len(stream.index_entries):
        return _of_mp4(path, stream, size, missing_start)
    if "yuv4mpegpipe" in formats:
        return Claims(cut_off=read_bytes < size)
    if time_may_jump(container):
        ragged = "mpegts" in formats and all(size % length for length in _TS_PACKETS)
        return Claims(doubt="it ends within a packet" if ragged else "")
    seconds = declared_seconds(container, stream, start_ticks)
    declared = declared_bytes(path)
    if declared is None:
        silent = seconds is None and formats & _MAY_DECLARE
        return Claims(seconds, doubt=_SILENT if silent else "")
    missing = _missing_share(declared, size)
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


def _of_mp4(path: Path, stream: VideoStream, size: int, missing_start: int) -> Claims:
    """MP4 and QuickTime list every frame; those that an edit list hides are marked, or are not in the list.

    Their table is all that is needed: the durations beside it can be wrong. But in a file that is written
    fragment by fragment, each has a table, and others may have followed.
    """
    entries = sorted((entry.timestamp, not entry.is_discard) for entry in stream.index_entries)
    shown = [number for number, (_, is_shown) in enumerate(entries) if is_shown]
    del shown[1 : 1 + missing_start]  # they follow the key frame that they are shown before
    found = Claims(frames=len(shown))
    if len(entries) > 1 and stream.time_base is not None:
        times: list[int | Fraction] = [time for time, _ in entries]
        times.append(times[-1] + Fraction(times[-1] - times[0], len(times) - 1))
        ticks = sum(times[number + 1] - times[number] for number in shown)
        found = replace(found, seconds=ticks * stream.time_base)
    fragmented = fragments(path)
    if fragmented is None:
        return found
    found = replace(found, missing_share=_missing_share(fragmented.bytes, size))
    if fragmented.all_named:
        return found
    starts_late = entries[0][0] * (stream.time_base or 1) > 1  # a segment of a longer recording
    if fragmented.seconds is None or found.seconds is None or starts_late:
        return replace(found, doubt=_SILENT)
    # Of the longest stream: what that lacks, the video lacks.
    read = max(_end_seconds(each) for each in stream.container.streams)
    return replace(found, seconds=found.seconds + max(Fraction(0), fragmented.seconds - read))


def _end_seconds(stream: Stream) -> Fraction:
    times = [entry.timestamp for entry in stream.index_entries]
    if len(times) < 2 or stream.time_base is None:
        return Fraction(0)
    return (max(times) + Fraction(max(times) - min(times), len(times) - 1)) * stream.time_base


def _missing_share(declared: int, size: int) -> Fraction:
    return Fraction(max(0, declared - size), declared)


def _has_flag(container: Container, flag: Flags) -> bool:
    return bool(container.format.flags & flag.value)  # type: ignore[operator]  # an int, unlike its stub
