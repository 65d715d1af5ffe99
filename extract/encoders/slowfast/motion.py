"""SlowFast-R50's fast pathway over a whole video: the motion tokens of VQA²."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from config.schema import EncoderSettings
from extract.encoders.base import StreamShape
from extract.encoders.choices import FRAMES, chunk_seconds
from extract.encoders.model import ModelEncoder
from extract.encoders.slowfast.folding import fast_on_gpu
from extract.encoders.slowfast.maps import KINETICS_MEAN, KINETICS_STD, load_blocks
from extract.errors import EncoderError
from extract.video.view import FrameRequest, View

MOTION = "motion"
_FAST = 1
_SIDE = 224
_CHUNK_SECONDS = Fraction(4)


class MotionEncoder(ModelEncoder):
    """Stream `motion` [256], one item for every source frame: the fast pathway, averaged over space.

    As in the code of VQA² (arXiv 2411.03795), for the whole video at once. Lateral connections lead only
    from the fast pathway to the slow one, so the slow one is not run. An output frame depends on a bounded
    number of frames on either side; each chunk comes with so many of its neighbours, and they are dropped
    afterwards: features equal those of one pass over the video, whatever the length of the chunks, which
    therefore is not part of the key.
    """

    kind = "slowfast"
    version = 2
    mean = KINETICS_MEAN
    std = KINETICS_STD
    # A chunk of every frame of seconds is work enough.
    gpu_batch = 1
    gpu_layout = torch.channels_last_3d

    def __init__(self, settings: EncoderSettings, device: str = "cpu") -> None:
        _check(settings)
        pathway = fast_pathway(load_blocks(settings))
        side = settings.input_size or _SIDE
        request = FrameRequest(
            count=0,
            rule="all",
            size=(side, side),
            resize=settings.resize,
            interpolation=settings.interpolation or "bilinear",
        )
        length = chunk_seconds(settings, _CHUNK_SECONDS)
        view = View({FRAMES: request}, length, "keep", temporal_reach(pathway))
        super().__init__(settings, device, pathway, view, _shapes(settings, pathway, side))

    def architecture(self) -> dict[str, Any]:
        """See ModelEncoder."""
        return dict(self.settings.architecture)

    def fast_on_gpu(self, model: nn.Module) -> nn.Module:
        """See ModelEncoder."""
        return fast_on_gpu(model)

    def specification(self) -> dict[str, Any]:
        """See Encoder."""
        return {name: value for name, value in super().specification().items() if name != "chunk_seconds"}

    def forward(self, pixels: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """`motion` [N, T, C] of frames [N, T, 3, H, W]."""
        maps = self.model(self.laid_out(pixels.transpose(1, 2)))  # [N, C, T, h, w]
        return {MOTION: maps.mean(dim=(3, 4), dtype=torch.float32).transpose(1, 2)}


def fast_pathway(blocks: nn.Module) -> nn.Module:
    """The fast pathway alone: [N, 3, T, H, W] to [N, C, T, h, w]."""
    stages: list[Any] = list(blocks.children())
    return nn.Sequential(*(stage.multipathway_blocks[_FAST] for stage in stages))


def temporal_reach(pathway: nn.Module) -> int:
    """Frames on either side that an output frame depends on, at most: the sum over all layers.

    The padding with zeros at the end of a clip spoils no more frames than these.
    """
    reach = 0
    for module in pathway.modules():
        if isinstance(module, nn.Conv3d | nn.MaxPool3d):
            kernel, dilation = _first(module.kernel_size), _first(module.dilation)
            reach += (kernel - 1) // 2 * dilation
    return reach


def _first(sizes: int | tuple[int, ...]) -> int:
    return sizes if isinstance(sizes, int) else sizes[0]


def _check(settings: EncoderSettings) -> None:
    """Raises EncoderError for what `motion`, which is of every source frame, cannot be combined with."""
    where = f"encoders.{settings.name}"
    if settings.streams != (MOTION,):
        raise EncoderError(
            f"{where}.streams is {list(settings.streams or ())}: {MOTION!r} covers the whole video and must "
            "be the only stream; make another encoder of the same weights for the maps"
        )
    if settings.tail != "keep":
        raise EncoderError(f'{where}.tail is {settings.tail!r}: motion has every frame; set tail = "keep"')
    for key in ("frames_per_chunk", "sampling", "grid"):
        if getattr(settings, key) is not None:
            raise EncoderError(
                f"{where}.{key} is {getattr(settings, key)!r}: motion has one vector for every frame; "
                "leave it out"
            )


def _shapes(settings: EncoderSettings, pathway: nn.Module, side: int) -> dict[str, StreamShape]:
    frames = 2
    with torch.inference_mode():
        maps = pathway.eval()(torch.zeros(1, 3, frames, side, side))
    if maps.shape[2] != frames:
        raise EncoderError(
            f"encoders.{settings.name}.architecture: the fast pathway has temporal strides: motion needs "
            "one vector for every frame"
        )
    return {MOTION: StreamShape((maps.shape[1],), settings.array_dtype)}
