"""What a decode worker does: decode one video after another, send chunks and features.

Nothing here may import torch: a worker must start in a fraction of a second. (VIDEVAL's encoder, where it is
among those that run here, brings it along.)
"""

import logging
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryFile

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from extract.encoders.base import Encoder
from extract.errors import UnreadableVideo
from extract.location import FileStamp, RemoteVideo
from extract.tasks import Refused, VideoTask
from extract.video.counted import AnyView
from extract.video.decode import decode
from extract.workers.beside import EncodedAtTheEnd, encoding
from extract.workers.messages import Decoded, Encoded, Ended, Finished, VideoMessage, Working
from extract.workers.transport import Buffers, Ring, WorkerEnd

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerConfig:
    """What a decoder needs: encoder → its view, and the encoders that run beside the decoder.

    threads: in which one that gives its features at the video's end encodes its chunks, while more are
        decoded; with 1 it does in the decoder's own.
    """

    views: Mapping[str, AnyView]
    in_worker: Mapping[str, Encoder]
    threads: int = 1


def worker_config(encoders: Mapping[str, Encoder], threads: int = 1) -> WorkerConfig:
    """What decoding for these encoders takes; small enough to be sent to a process."""
    return WorkerConfig(
        {name: encoder.view for name, encoder in encoders.items()},
        {name: encoder for name, encoder in encoders.items() if encoder.in_worker},
        threads,
    )


def video_messages(task: VideoTask, config: WorkerConfig, *, recycle: bool = False) -> Iterator[VideoMessage]:
    """Decode a video, here and now, for the encoders that its task names: chunks, features and how it ended.

    `recycle`: the frames of a chunk are overwritten once the next message is asked for.
    """
    try:
        if isinstance(task.path, RemoteVideo):
            # Without a name, the system removes it with this process, however that ends.
            with TemporaryFile() as file:
                for _ in task.path.copied(file):
                    yield Working()
                yield from _decoded(task, Path(f"/dev/fd/{file.fileno()}"), config, recycle)
        else:
            yield from _decoded(task, task.path, config, recycle)
    except UnreadableVideo as error:
        yield Refused(task, error.kind, str(error))
    except Exception as error:
        # A defect of ours, met on one video of thousands, must not stop the others.
        logger.exception("%s: unexpected error", task.path)
        yield Refused(task, "defect", f"{task.path}: {type(error).__name__}: {error}")


def _decoded(task: VideoTask, path: Path, config: WorkerConfig, recycle: bool) -> Iterator[VideoMessage]:
    buffers = Buffers()
    beside = {name: config.in_worker[name] for name in task.encoders if name in config.in_worker}
    encoders = {name: encoding(encoder, config.threads, buffers) for name, encoder in beside.items()}
    try:
        stamp = FileStamp.of(task.path, path)
    except OSError:
        stamp = FileStamp(0, "", "")  # decoding tells what is wrong with the file
    decoding = decode(
        path,
        {name: config.views[name] for name in task.encoders},
        allocate=lambda _view, _request, shape: buffers.allocate(shape),
        largest_gap_seconds=task.largest_gap_seconds,
    )
    try:
        for name, chunk in decoding:
            if name in encoders:
                yield Encoded(name, encoders[name].encode(chunk))
            else:
                yield Decoded(name, chunk)
                if recycle:
                    buffers.give_back(chunk)
        for name, encoder in encoders.items():
            if isinstance(encoder, EncodedAtTheEnd):
                yield Finished(name, encoder.finish())
        encode_seconds = sum(encoder.seconds for encoder in encoders.values())
        yield Ended(decoding.info, stamp, {**decoding.seconds, "encode in workers": encode_seconds})
    except UnreadableVideo as error:
        raise type(error)(str(error).replace(str(path), str(task.path))) from error
    finally:
        decoding.close()
        for encoder in encoders.values():
            encoder.close()


def work(connection: Connection, ring: Ring, config: WorkerConfig) -> None:
    """Body of a worker process: take videos from the connection until its other end dies."""
    # Ctrl-C reaches every process of the terminal: the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end = WorkerEnd(connection, ring)
    with threadpool_limits(1):
        try:
            end.send(Working())
            while True:
                for message in video_messages(end.next_task(), config, recycle=True):
                    end.send(message)
        except (EOFError, ConnectionError):
            logger.debug("the parent process has ended")
