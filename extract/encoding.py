"""Videos in, features out: decode workers feed the encoders, whatever becomes of a single video."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from extract.decode import VideoInfo
from extract.encoders.base import Encoder
from extract.timing import Phases
from extract.transport import SharedChunks, fits_shared_memory
from extract.worker import Block, DecodeDataset, Failed, Features, Message, VideoTask, chunks_for

BLOCK_CHUNKS = 8
_PREFETCHED = 2


@dataclass(frozen=True)
class EncodedVideo:
    """Features of a whole video, of the encoders that its task names."""

    task: VideoTask
    features: Features
    info: VideoInfo


@dataclass(frozen=True)
class FailedVideo:
    """A video without features. `kind`: see extract.errors; `crash` or `defect` where the program failed."""

    task: VideoTask
    kind: str
    message: str


def encode_videos(
    tasks: Sequence[VideoTask],
    encoders: Mapping[str, Encoder],
    *,
    workers: int = 0,
    block_chunks: int = BLOCK_CHUNKS,
    phases: Phases | None = None,
) -> Iterator[EncodedVideo | FailedVideo]:
    """Decode each video once and encode it; results come as they are ready.

    Encoders with a model run here, on blocks of up to `block_chunks` chunks of one video, so that a
    result never depends on which other videos are encoded; the others run in the `workers` spawned
    processes (0: in this one). The tasks' ids must differ.
    """
    phases = phases or Phases()
    by_video = {task.video: task for task in tasks}
    on_device = {name: encoder for name, encoder in encoders.items() if not encoder.in_worker}
    gathered: dict[str, list[Features]] = {}
    messages = _messages(list(tasks), encoders, workers, block_chunks)
    while True:
        with phases.timed("wait for decoding"):
            message = next(messages, None)
        if message is None:
            return
        task = by_video[message.video]
        if isinstance(message, Failed):
            gathered.pop(message.video, None)
            yield FailedVideo(task, message.kind, message.message)
        elif isinstance(message, Block):
            with phases.timed("encode"):
                features = _encode(message, task, on_device)
            # A video that is decoded again after a crash begins anew.
            if message.first_chunk == 0:
                gathered[message.video] = []
            gathered[message.video].append(features)
        else:
            for phase, seconds in message.seconds.items():
                phases.add(phase, seconds)
            yield EncodedVideo(task, _joined(gathered.pop(message.video)), message.info)


def _encode(block: Block, task: VideoTask, on_device: Mapping[str, Encoder]) -> Features:
    features = dict(block.features)
    chunks = block.chunks.open() if isinstance(block.chunks, SharedChunks) else block.chunks
    for name, encoder in on_device.items():
        if name in task.encoders:
            features[name] = encoder.encode(chunks_for(name, chunks))
    return features


def _joined(blocks: list[Features]) -> Features:
    """Blocks of [n, *shape] to whole videos [K, *shape]."""
    return {
        encoder: {stream: np.concatenate([block[encoder][stream] for block in blocks]) for stream in streams}
        for encoder, streams in blocks[0].items()
    }


def _messages(
    tasks: list[VideoTask], encoders: Mapping[str, Encoder], workers: int, block_chunks: int
) -> Iterator[Message]:
    """Messages of all tasks. A worker that dies takes only its own video along: suspects are tried alone."""
    in_worker = {name: encoder for name, encoder in encoders.items() if encoder.in_worker}
    requests = {name: encoder.requests for name, encoder in encoders.items()}
    sent = [r for name, own in requests.items() if name not in in_worker for r in own.values()]
    in_flight = workers * (_PREFETCHED + 1) * block_chunks
    shared = workers > 0 and bool(sent) and fits_shared_memory(sent, in_flight)
    dataset = DecodeDataset(tasks, requests, in_worker, block_chunks, shared)
    over: set[str] = set()
    try:
        for message in _loaded(dataset, workers):
            if not isinstance(message, Block):
                over.add(message.video)
            yield message
        return
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) or "exited unexpectedly" not in str(error):
            raise
    begun = dataset.taken
    suspects = [task for task in tasks[:begun] if task.video not in over]
    if len(suspects) == 1:
        reason = "the decode process crashed on it; encode it again, or leave it out"
        yield Failed(suspects[0].video, "crash", f"{suspects[0].path}: {reason}")
    else:
        for task in suspects:
            yield from _messages([task], encoders, 1, block_chunks)
    if tasks[begun:]:
        yield from _messages(tasks[begun:], encoders, workers, block_chunks)


def _loaded(dataset: DecodeDataset, workers: int) -> Iterator[Message]:
    # Spawned, not forked: a fork after decoding in this process hangs.
    loader: DataLoader[Message] = DataLoader(
        dataset,
        batch_size=None,
        collate_fn=_unchanged,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=_PREFETCHED if workers else None,
        in_order=False,
    )
    before = signal.getsignal(signal.SIGCHLD)
    messages = iter(loader)
    if signal.getsignal(signal.SIGCHLD) is not before:
        # torch raises a worker's death out of a signal handler, in the midst of whatever runs then, such
        # as writing. Without the handler it is raised where messages are awaited.
        signal.signal(signal.SIGCHLD, before)
    yield from messages


def _unchanged(message: Any) -> Any:
    return message
