"""The reference clip: whether an encoder gives the numbers today that its feature set was begun with.

A key covers weights and settings, but not the versions of torch and FFmpeg, nor the device. So the features
of a small generated clip are recorded beside the first videos' features, in reference.json, and compared with
whenever there is something to extract.
"""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import av
import numpy as np

from config.errors import Problem
from extract.encoders.base import Encoder, Features, WholeVideoEncoder
from extract.errors import UnreadableVideo
from extract.video.decode import decode
from extract.video.view import Chunk
from store.feature_set import FeatureSet

FILE = "reference.json"
_SIZE = (128, 192)
_FRAMES = _RATE = 25
_KEPT = 512
_STRIDE = 15_485_863
"""A prime, so that the values kept of a stream come from everywhere in it."""
_TOLERANCE = {"float32": 1e-3, "float16": 5e-3, "bfloat16": 3e-2}
"""By the precision of the computation: how far rounding may go, as a share of the values' norm. More than
twice what was measured of each encoder; docs/extraction.md has the figures."""


class ChangedNumbers(Problem):
    """An encoder gives other numbers than those that its feature set was begun with."""


@dataclass(frozen=True)
class Reference:
    """What an encoder gave for the reference clip.

    streams: stream → up to 512 of its values. made_with: versions and device.
    generation: 1, and one more each time that the encoder's numbers had changed and were accepted.
    """

    streams: dict[str, list[float]]
    made_with: dict[str, str]
    generation: int = 1


def check_references(
    encoders: Mapping[str, Encoder], sets: Mapping[str, FeatureSet], *, refresh: bool = False
) -> None:
    """Compare what the encoders give for the reference clip with what is recorded, or record it.

    `refresh`: where it differs, record a new generation: the features of the earlier ones are outdated.
    Raises ChangedNumbers otherwise.
    """
    chunks = _reference_chunks(encoders)
    for name, encoder in encoders.items():
        try:
            (features,) = encoder.encode([chunks[name]])
            if isinstance(encoder, WholeVideoEncoder):
                features = encoder.finish(features)
        except UnreadableVideo:
            continue  # Features that do not fit into the stored precision: nothing to compare.
        now = Reference(_kept(features), provenance(encoder))
        before = read_reference(sets[name])
        fault = _difference(encoder, before, now) if before else ""
        if before and fault:
            if not refresh:
                raise ChangedNumbers(_explanation(sets[name], before, now, fault))
            now = replace(now, generation=before.generation + 1)
        if fault or not before:
            sets[name].write_note(FILE, json.dumps(asdict(now)).encode())


def generation_of(features: FeatureSet) -> int:
    """Of the numbers that the feature set's encoder gives now."""
    reference = read_reference(features)
    return reference.generation if reference else 1


def read_reference(features: FeatureSet) -> Reference | None:
    """What is recorded; None where nothing is that can be read."""
    data = features.read_note(FILE)
    try:
        return None if data is None else Reference(**json.loads(data))
    except (ValueError, TypeError):
        return None


def provenance(encoder: Encoder) -> dict[str, str]:
    """Versions and device behind an encoder's numbers."""
    made_with = {name: importlib.metadata.version(name) for name in ("av", "numpy")}
    made_with["ffmpeg"] = str(av.ffmpeg_version_info)
    if encoder.in_worker:
        return {**made_with, "device": platform.machine()}
    import torch

    device = torch.device(getattr(encoder, "device", "cpu"))
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else platform.machine()
    return {**made_with, "torch": torch.__version__, "device": name}


def _difference(encoder: Encoder, before: Reference, now: Reference) -> str:
    """What differs by more than rounding, in words; "" if nothing does."""
    precision = str(encoder.specification().get("precision", "float32"))
    for stream, values in now.streams.items():
        old = np.array(before.streams.get(stream, []))
        new = np.array(values)
        stored = "bfloat16" if encoder.streams[stream].dtype == "bfloat16" else "float32"
        limit = max(_TOLERANCE[precision], _TOLERANCE[stored])
        if old.shape != new.shape:
            return f"its stream {stream!r} has another size"
        off = float(np.linalg.norm(new - old) / max(float(np.linalg.norm(old)), 1e-12))
        if not off <= limit:
            return f"its stream {stream!r} differs by {off:.2g} of its size, where rounding gives {limit:g}"
    return ""


def _explanation(features: FeatureSet, before: Reference, now: Reference, fault: str) -> str:
    keys = before.made_with.keys() | now.made_with.keys()
    changes = [
        f"{key} {before.made_with.get(key, 'none')} → {now.made_with.get(key, 'none')}"
        for key in sorted(keys)
        if before.made_with.get(key) != now.made_with.get(key)
    ]
    cause = ", ".join(changes) or "no version of a library; the encoder itself, or its weights"
    return (
        f"{features.location}: its encoder gives other numbers than when these features were begun: {fault}."
        f" Changed since: {cause}. Go back to that, or add --refresh to extract all of its videos again"
    )


def _kept(features: Features) -> dict[str, list[float]]:
    """Stream → at most 512 of its values, from everywhere in it."""
    kept = {}
    for name, array in features.items():
        flat = np.asarray(array).astype(np.float32).reshape(-1)
        places = np.arange(min(_KEPT, flat.size), dtype=np.int64) * _STRIDE % flat.size
        kept[name] = [float(f"{value:.7g}") for value in flat[np.sort(places)]]
    return kept


def _reference_chunks(encoders: Mapping[str, Encoder]) -> dict[str, Chunk]:
    """Encoder → the first chunk that it asks for of the reference clip."""
    with TemporaryFile() as file:
        _write_clip(file)
        views = {name: encoder.view for name, encoder in encoders.items()}
        chunks: dict[str, Chunk] = {}
        with closing(decode(Path(f"/dev/fd/{file.fileno()}"), views)) as decoding:
            for name, chunk in decoding:
                chunks.setdefault(name, chunk)
    return chunks


def _write_clip(file: IO[bytes]) -> None:
    """A second of gradients that move, and grain, by whole numbers alone, as a video without loss."""
    height, width = _SIZE
    t, y, x = np.ogrid[:_FRAMES, : height * 3 // 2, :width]
    grain = (x * 73_856_093 ^ y * 19_349_663 ^ t * 83_492_791) >> 7 & 31
    planes = (32 + (3 * x + 2 * y + 5 * t) % 160 + grain).astype(np.uint8)  # [frames, 3/2 H, W]
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=_RATE)
        stream.height, stream.width = _SIZE
        stream.pix_fmt = "yuv420p"
        for plane in planes:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(plane, format="yuv420p")))
        container.mux(stream.encode(None))
    file.flush()
