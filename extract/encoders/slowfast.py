"""SlowFast-R50: feature maps of both pathways for each one-second chunk."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import adaptive_avg_pool3d

from config.schema import EncoderSettings
from extract.decode import DECODE_VERSION
from extract.encoders.arrays import PRECISIONS, normalised, stacked, storable
from extract.encoders.base import Chunk, FrameRequest, StreamShape
from extract.errors import EncoderError
from extract.sampling import slow_indices
from extract.torchvision_guard import import_slowfast
from extract.weights import absent, digest, local_path, random_seed, read_checkpoint, seeded

_VERSION = 1
_ALPHA = 4
_BLOCKS = 5  # the stem and four stages; what follows pools and classifies
_MEAN = (0.45, 0.45, 0.45)
_STD = (0.225, 0.225, 0.225)
_R50: dict[str, Any] = {"model_depth": 50, "slowfast_fusion_conv_kernel_size": (7, 1, 1)}


class SlowFastEncoder:
    """Streams `slow` [T / 4, h, w, 2048] and `fast` [T, h, w, 256], channel-last, before the head.

    For 32 frames of 224 x 224: [8, 7, 7, 2048] and [32, 7, 7, 256]. `grid` average-pools the kept maps;
    `streams` says which are kept. Feichtenhofer et al., arXiv 1812.03982; 8x8, R50.
    """

    in_worker = False

    def __init__(self, settings: EncoderSettings, device: str = "cpu") -> None:
        if settings.frames_per_chunk % _ALPHA:
            raise EncoderError(
                f"encoders.{settings.name}.frames_per_chunk is {settings.frames_per_chunk}: "
                f"SlowFast needs a multiple of {_ALPHA}"
            )
        self._settings = settings
        self._device = torch.device(device)
        self._dtype = PRECISIONS[settings.precision]
        self._slow = slow_indices(settings.frames_per_chunk, _ALPHA)
        size = settings.input_size
        self._request = FrameRequest(settings.frames_per_chunk, settings.sampling, (size, size))
        self.requests: Mapping[str, FrameRequest] = {"clip": self._request}
        blocks = _load(settings)
        self._digest = digest(blocks)
        self._blocks = blocks.to(self._device, self._dtype).eval()
        self.streams: Mapping[str, StreamShape] = _streams(settings, self._slow)

    def specification(self) -> dict[str, Any]:
        """See Encoder."""
        return {
            "kind": "slowfast",
            "version": _VERSION,
            "decode": DECODE_VERSION,
            "architecture": {**_R50, **self._settings.architecture},
            "weights": self._digest,
            "frames": {"count": self._request.count, "rule": self._request.rule},
            "slow_frames": self._slow,
            "input_size": self._settings.input_size,
            "mean": list(_MEAN),
            "std": list(_STD),
            "streams": {name: list(stream.shape) for name, stream in self.streams.items()},
            "precision": self._settings.precision,
            "dtype": self._settings.dtype,
        }

    @torch.inference_mode()
    def encode(self, chunks: Sequence[Chunk]) -> dict[str, NDArray[Any]]:
        """The kept maps [N, t, h, w, C] of the chunks."""
        pictures = stacked(chunks, "clip", self._device)  # uint8 [N, T, H, W, 3]
        fast = normalised(pictures, _MEAN, _STD, self._dtype).permute(0, 4, 1, 2, 3)  # [N, 3, T, H, W]
        maps = _run(self._blocks, fast, self._slow)
        kept = {}
        for name, stream in self.streams.items():
            features = maps[name].float()  # [N, C, t, h, w]
            if self._settings.grid is not None:
                features = adaptive_avg_pool3d(features, self._settings.grid)
            channel_last = features.permute(0, 2, 3, 4, 1)  # [N, *stream.shape]
            kept[name] = storable(channel_last, stream.dtype, self._settings.name)
        return kept


def _run(blocks: nn.Module, fast: torch.Tensor, slow: list[int]) -> dict[str, torch.Tensor]:
    pathways = [fast[:, :, slow], fast]
    for block in blocks.children():
        pathways = block(pathways)
    return {"slow": pathways[0], "fast": pathways[1]}


def _build(settings: EncoderSettings) -> nn.Module:
    options = {**_R50, **settings.architecture}
    try:
        model: nn.Module = import_slowfast().create_slowfast(**options)
    except (TypeError, AssertionError) as error:
        raise EncoderError(f"encoders.{settings.name}.architecture: {error}") from None
    return model


def _load(settings: EncoderSettings) -> nn.Module:
    """The stem and the stages, with weights."""
    seed = random_seed(settings)
    if seed is not None:
        model = seeded(lambda: _build(settings), seed)
    else:
        path = local_path(settings)
        if path is None:
            raise absent(settings, "SlowFast weights are a checkpoint file, not a hub id")
        model = _build(settings)
        try:
            model.load_state_dict(read_checkpoint(path, settings))
        except RuntimeError as error:
            raise EncoderError(
                f"encoders.{settings.name}.weights: {path} does not fit slowfast_r50: {error}"
            ) from None
    blocks: nn.Module = model.blocks[:_BLOCKS]  # type: ignore[index, assignment]
    return blocks


def _streams(settings: EncoderSettings, slow: list[int]) -> dict[str, StreamShape]:
    """Shapes of the kept streams, found by running the architecture without any data."""
    with torch.device("meta"), torch.inference_mode():
        blocks: nn.Module = _build(settings).blocks[:_BLOCKS]  # type: ignore[index, assignment]
        side = settings.input_size
        maps = _run(blocks.eval(), torch.empty(1, 3, settings.frames_per_chunk, side, side), slow)
    kept = settings.streams if settings.streams is not None else tuple(maps)
    unknown = [name for name in kept if name not in maps]
    if unknown or not kept:
        raise EncoderError(
            f"encoders.{settings.name}.streams is {list(kept)}: expected one or both of {list(maps)}"
        )
    shapes = {}
    for name in kept:
        channels, *grid = maps[name].shape[1:]
        shapes[name] = StreamShape((*(settings.grid or grid), channels), settings.dtype)
    return shapes
