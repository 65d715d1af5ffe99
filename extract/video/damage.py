"""What is wrong with a video that decodes all the same: warnings to record, or too much to accept."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorTrc
from av.video.stream import VideoStream

from extract.errors import CorruptVideo, TruncatedVideo
from extract.video.claims import Claims
from extract.video.clock import Clock

# Up to this share of lost or damaged frames is a warning; more is an error.
_TOLERATED_SHARE = Fraction(1, 10)
_HDR: dict[int, str] = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}


@dataclass
class Damage:
    """Counts faults while a video is decoded, and notes how far it goes.

    start_ticks: time of the first packet.
    read_bytes: where the last packet ends in the file.
    """

    errors: int = 0
    corrupt: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    interlaced: int = 0
    transfer: int = 0
    rotation: int = 0
    transparent: bool = False
    start_ticks: int | None = None
    read_bytes: int = 0
    _has_alpha: bool = False
    _last_error: av.FFmpegError | None = None
    _first_shown_ticks: int | None = None
    _leading_ticks: list[int] = field(default_factory=list)
    _at_start: bool = True

    def packet_read(self, packet: "Packet[VideoStream]") -> None:
        """Note where a packet lies."""
        if packet.pos is not None:
            self.read_bytes = max(self.read_bytes, packet.pos + packet.size)
        if self.start_ticks is None:
            self.start_ticks = packet.pts
            self._at_start = packet.is_keyframe and packet.pts is not None
        elif self._at_start and packet.pts is not None and not packet.is_discard:
            self._at_start = packet.pts < self.start_ticks
            if self._at_start:
                self._leading_ticks.append(packet.pts)

    def decoding_failed(self, error: av.FFmpegError) -> None:
        """Count a packet that could not be read or decoded."""
        self.errors += 1
        self._last_error = error

    def inspect(self, frame: VideoFrame) -> None:
        """Note what is peculiar about a decoded frame."""
        self.corrupt += frame.is_corrupt
        self.interlaced += frame.interlaced_frame
        self.transfer = frame.color_trc
        self.rotation = frame.rotation
        size = (frame.width, frame.height)
        if not self.sizes:
            self._first_shown_ticks = frame.pts
        if not self.sizes or self.sizes[-1] != size:
            self.sizes.append(size)
            self._has_alpha = any(component.is_alpha for component in frame.format.components)
        if self._has_alpha and not self.transparent:
            self.transparent = bool(np.any(frame.to_ndarray(format="rgba")[..., 3] < 255))

    @property
    def missing_start(self) -> int:
        """How many frames at its start cannot decode, because the video was cut out of a longer one.

        In an open group of pictures, those that follow the key frame in the file, and come before it on the
        screen, lean on the group before (RASL pictures, where the codec is HEVC).
        """
        first = self._first_shown_ticks
        return sum(ticks < first for ticks in self._leading_ticks) if first is not None else 0

    @property
    def last_error(self) -> str:
        """The decoder's last complaint, for the end of a message; empty without one."""
        return f" ({self._last_error.strerror})" if self._last_error else ""


def check_whole(path: Path, clock: Clock, damage: Damage, claims: Claims) -> None:
    """Raises TruncatedVideo or CorruptVideo if more than a tenth of the video is lost or damaged."""
    seconds = clock.duration_seconds
    if claims.cut_off:
        raise TruncatedVideo(
            f"{path}: ends within a frame, after {float(seconds):.2f} s; copy or download it again"
        )
    if claims.missing_share > _TOLERATED_SHARE:
        raise TruncatedVideo(
            f"{path}: {float(100 * claims.missing_share):.0f} % of the bytes that it declares are missing; "
            "copy or download it again"
        )
    if claims.seconds is not None and not claims.proven_whole:
        lost = _lost_seconds(clock, claims)
        if lost > _TOLERATED_SHARE * claims.seconds + clock.frame_seconds:
            raise TruncatedVideo(
                f"{path}: {float(seconds):.2f} s of the declared {float(claims.seconds):.2f} s decode"
                f"{damage.last_error}; copy or download it again"
            )
    spoiled = damage.corrupt + max(damage.errors, claims.frames - clock.frames)
    if spoiled > _TOLERATED_SHARE * max(clock.frames, claims.frames) and spoiled > 1:
        raise CorruptVideo(
            f"{path}: {spoiled} of {max(clock.frames, claims.frames)} frames are lost or damaged"
            f"{damage.last_error}; copy or download it again"
        )


def _lost_seconds(clock: Clock, claims: Claims) -> Fraction:
    """Of the declared length; a last frame that is not believed to last so long counts as declared."""
    read = clock.duration_seconds + clock.doubtful_seconds
    return (read if claims.seconds is None else claims.seconds) - read


def warnings(clock: Clock, damage: Damage, claims: Claims) -> tuple[str, ...]:
    """One line for each peculiarity that leaves the features usable but should be known."""
    lost_seconds = _lost_seconds(clock, claims)
    doubtful_seconds = clock.doubtful_seconds
    sizes = ", ".join(f"{width}x{height}" for width, height in dict.fromkeys(damage.sizes))
    found = [
        (
            damage.missing_start,
            f"the first {damage.missing_start} frames do not decode: they lean on some that were cut off",
        ),
        (clock.without_time, f"{clock.without_time} frames without a timestamp: placed by the frame rate"),
        (clock.backwards, f"{clock.backwards} timestamps run backwards"),
        (clock.restarts, f"the time starts over {clock.restarts} times: joined without a gap"),
        (
            doubtful_seconds,
            f"the last frame is declared to last {float(doubtful_seconds):.2f} s: "
            "taken to last as long as the others",
        ),
        (damage.corrupt, f"{damage.corrupt} frames damaged"),
        (damage.errors, f"{damage.errors} packets do not decode{damage.last_error}"),
        (claims.frames > clock.frames, f"{clock.frames} of {claims.frames} declared frames decode"),
        (lost_seconds > 2 * clock.frame_seconds, f"{float(lost_seconds):.2f} s less than declared"),
        (claims.missing_share, "bytes that the file declares are missing at its end"),
        (claims.doubt, f"nothing tells whether the file is whole: {claims.doubt}"),
        (len(damage.sizes) > 1, f"the resolution changes: {sizes}"),
        (damage.interlaced, f"{damage.interlaced} interlaced frames: not deinterlaced"),
        (damage.transfer in _HDR, f"HDR ({_HDR.get(damage.transfer)}): not tone-mapped"),
        (damage.transparent, "partly transparent: shown as if it were opaque"),
        (damage.rotation % 90, f"rotation of {damage.rotation} degrees: rounded to quarter turns"),
    ]
    return tuple(text for present, text in found if present)
