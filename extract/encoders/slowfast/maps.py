"""SlowFast-R50: feature maps of both pathways for each chunk."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from config.schema import EncoderSettings
from extract.encoders.arrays import pooled_map
from extract.encoders.base import StreamShape
from extract.encoders.choices import checked_grid, kept_streams, square_view
from extract.encoders.model import ModelEncoder
from extract.encoders.slowfast.folding import fast_on_gpu
from extract.encoders.slowfast.torchvision_guard import import_slowfast
from extract.encoders.weights import checkpoint, random_seed, seeded
from extract.errors import EncoderError
from extract.video.sampling import slow_indices

_ALPHA = 4
_FRAMES = 32
_SIDE = 224
_BLOCKS = 5  # the stem and four stages; what follows pools and classifies
_R50: dict[str, Any] = {"model_depth": 50, "slowfast_fusion_conv_kernel_size": (7, 1, 1)}
KINETICS_MEAN = (0.45, 0.45, 0.45)
KINETICS_STD = (0.225, 0.225, 0.225)


class SlowFastEncoder(ModelEncoder):
    """Streams `slow` [T / 4, h, w, 2048] and `fast` [T, h, w, 256], channel-last, before the head.

    For 32 frames of 224 x 224: [8, 7, 7, 2048] and [32, 7, 7, 256]. `grid` (time, height, width)
    average-pools the kept maps; `streams` says which are kept. Feichtenhofer et al., arXiv 1812.03982; 8x8,
    R50. The third stream, `motion`, is MotionEncoder's.
    """

    kind = "slowfast"
    version = 2
    mean = KINETICS_MEAN
    std = KINETICS_STD
    gpu_batch = 16
    gpu_layout = torch.channels_last_3d

    def __init__(self, settings: EncoderSettings, device: str = "cpu") -> None:
        frames = settings.frames_per_chunk or _FRAMES
        if frames % _ALPHA:
            raise EncoderError(
                f"encoders.{settings.name}.frames_per_chunk is {frames}: expected a multiple of {_ALPHA}"
            )
        self._grid = checked_grid(settings, ("time", "height", "width"))
        self._slow_indices = slow_indices(frames, _ALPHA)
        self._slow = torch.tensor(self._slow_indices, device=device)
        side = settings.input_size or _SIDE
        super().__init__(
            settings,
            device,
            load_blocks(settings),
            square_view(settings, frames, side, "bilinear"),
            self._shapes(settings, frames, side),
        )

    def architecture(self) -> dict[str, Any]:
        """See ModelEncoder."""
        return {**_R50, **self.settings.architecture}

    def fast_on_gpu(self, model: nn.Module) -> nn.Module:
        """See ModelEncoder."""
        return fast_on_gpu(model)

    def specification(self) -> dict[str, Any]:
        """See Encoder."""
        return {**super().specification(), "slow_frames": self._slow_indices}

    def forward(self, pixels: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """The maps [N, 1, t, h, w, C] of frames [N, T, 3, H, W]."""
        fast = self.laid_out(pixels.transpose(1, 2))  # [N, 3, T, H, W]
        maps = run_pathways(self.model, fast, self._slow)
        return {name: pooled_map(maps[name], self._grid)[:, None] for name in self.streams}

    def _shapes(self, settings: EncoderSettings, frames: int, side: int) -> dict[str, StreamShape]:
        """Of the kept streams, found by running the architecture without any data."""
        with torch.device("meta"), torch.inference_mode():
            blocks = _blocks(_build(settings)).eval()
            maps = run_pathways(blocks, torch.empty(1, 3, frames, side, side), self._slow.to("meta"))
        shapes = {}
        for name, features in maps.items():
            channels, *grid = features.shape[1:]
            shapes[name] = StreamShape((*(self._grid or grid), channels), settings.array_dtype)
        return kept_streams(settings, shapes)


def load_blocks(settings: EncoderSettings) -> nn.Module:
    """The stem and the stages of both pathways, with weights. Raises EncoderError."""
    seed = random_seed(settings)
    if seed is not None:
        return _blocks(seeded(lambda: _build(settings), seed))
    model = _build(settings)
    try:
        model.load_state_dict(checkpoint(settings))
    except RuntimeError as error:
        raise EncoderError(
            f"encoders.{settings.name}.weights: {settings.weights} does not fit slowfast_r50: {error}"
        ) from None
    return _blocks(model)


def _build(settings: EncoderSettings) -> nn.Module:
    options = {**_R50, **settings.architecture}
    try:
        model: nn.Module = import_slowfast().create_slowfast(**options)
    except (TypeError, AssertionError) as error:
        raise EncoderError(f"encoders.{settings.name}.architecture: {error}") from None
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            # Some are numpy's numbers, which torch.compile takes for data.
            module.stride = tuple(int(step) for step in module.stride)
    return model


def _blocks(model: nn.Module) -> nn.Module:
    blocks: nn.Module = model.blocks[:_BLOCKS]  # type: ignore[index, assignment]
    return blocks


def run_pathways(blocks: nn.Module, fast: torch.Tensor, slow: torch.Tensor) -> dict[str, torch.Tensor]:
    """Maps [N, C, t, h, w] of both pathways; `slow`: the frames that the slow one sees."""
    pathways = [fast.index_select(2, slow), fast]
    for block in blocks.children():
        pathways = block(pathways)
    return {"slow": pathways[0], "fast": pathways[1]}
