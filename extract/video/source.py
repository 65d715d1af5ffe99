"""Open a video file safely: what can be told from the file system and the header, before any decoding."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from extract.errors import (
    EmptyFile,
    MissingFile,
    MissingIndex,
    NotAFile,
    NotAVideo,
    NoVideoStream,
    TruncatedVideo,
)
from extract.video.sizes import declared_bytes

_WEBP_ANIMATION = 2
_PLAYLISTS = {"hls", "dash", "concat", "sdp", "rtsp"}


@contextmanager
def open_video(path: Path, threads: int) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its main video stream, ready to decode with that many threads (0: all cores).

    The file is inspected first: opening a FIFO would wait for ever. Raises UnreadableVideo.
    """
    header = _checked_header(path)
    try:
        # "file:" keeps a name such as "http:x.mp4" from being read as an address.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _explain(path, header, error) from None
    with container:
        if _PLAYLISTS & set(container.format.name.split(",")):
            raise NotAVideo(f"{path}: a playlist ({container.format.name}), not a video")
        stream = _main_stream(container, path)
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        yield container, stream


def _checked_header(path: Path) -> bytes:
    """The first bytes of a file that is one. Names what FFmpeg would wait for, or take for a broken file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise MissingFile(f"{path}: no such file") from None
    except OSError as error:
        raise NotAFile(f"{path}: cannot be inspected: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
        raise NotAFile(f"{path}: {kinds.get(stat.S_IFMT(status.st_mode), 'a device')}, not a video file")
    if status.st_size == 0:
        raise EmptyFile(f"{path}: zero bytes; copy or download it again")
    try:
        with path.open("rb") as file:
            header = file.read(21)
    except OSError as error:
        raise NotAFile(f"{path}: cannot be read: {error.strerror}") from None
    if header[8:16] == b"WEBPVP8X" and len(header) > 20 and header[20] & _WEBP_ANIMATION:
        raise NotAVideo(f"{path}: an animated WebP, which FFmpeg does not decode; convert it to MP4 or GIF")
    return header


def _explain(path: Path, header: bytes, error: Exception) -> NotAVideo | MissingIndex | TruncatedVideo:
    size = path.stat().st_size
    declared = declared_bytes(path) or 0
    if declared > size:
        return TruncatedVideo(
            f"{path}: {size} of the {declared} bytes that it declares; copy or download it again"
        )
    if header[4:8] in (b"ftyp", b"mdat", b"wide", b"free", b"skip"):
        return MissingIndex(f"{path}: an MP4 file without its index (moov); copy or download it again")
    return NotAVideo(f"{path}: no video format is recognised in these {size} bytes ({error})")


def _main_stream(container: InputContainer, path: Path) -> VideoStream:
    pictures = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
    stream = container.streams.best("video")
    if stream in pictures:
        stream = next((s for s in container.streams.video if s not in pictures), None)
    if not isinstance(stream, VideoStream):
        found = ", ".join(s.type for s in container.streams if s not in pictures) or "nothing"
        raise NoVideoStream(f"{path}: no video stream in it; found {found}")
    if stream.codec_context is None:
        raise NotAVideo(
            f"{path}: this build of FFmpeg has no decoder for its video; encode it again as H.264"
        )
    return stream
