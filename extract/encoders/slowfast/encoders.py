"""SlowFast-R50: feature maps of both pathways for each chunk, or the fast pathway over a whole video."""

from collections.abc import Mapping
from copy import deepcopy
from fractions import Fraction
from typing import Any

import torch

from config.schema import EncoderSettings
from extract.encoders.arrays import pooled_map
from extract.encoders.base import FRAMES, checked_grid, chunk_seconds, square_view
from extract.encoders.model import ModelEncoder
from extract.encoders.slowfast import folding
from extract.encoders.slowfast.network import R50, fast_pathway, load_blocks, run_pathways, temporal_reach
from extract.errors import EncoderError
from extract.video.sampling import slow_indices
from extract.video.view import FrameRequest, View

MOTION = "motion"
_ALPHA = 4
_FRAMES = 32
_SIDE = 224
_MOTION_SECONDS = Fraction(4)


class _PathwayEncoder(ModelEncoder):
    """What both share. Feichtenhofer et al., arXiv 1812.03982; 8x8, R50."""

    kind = "slowfast"
    version = 2
    mean = (0.45, 0.45, 0.45)
    std = (0.225, 0.225, 0.225)
    gpu_layout = torch.channels_last_3d

    fast_on_gpu = staticmethod(folding.fast_on_gpu)


class SlowFastEncoder(_PathwayEncoder):
    """Streams `slow` [T / 4, h, w, 2048] and `fast` [T, h, w, 256], channel-last, before the head.

    For 32 frames of 224 x 224: [8, 7, 7, 2048] and [32, 7, 7, 256]. `grid` (time, height, width)
    average-pools the kept maps; `streams` says which are kept. The stream `pooled` [2304], kept if the
    settings name it, is both maps' means over time and space, the slow one's first. The stream `motion` is
    MotionEncoder's.
    """

    gpu_batch = 16
    further_streams = ("pooled",)

    def __init__(self, settings: EncoderSettings, device: str = "cpu") -> None:
        frames, side = settings.frames_per_chunk or _FRAMES, settings.input_size or _SIDE
        if frames % _ALPHA:
            raise EncoderError(
                f"encoders.{settings.name}.frames_per_chunk is {frames}: expected a multiple of {_ALPHA}"
            )
        self._grid = checked_grid(settings, "time", "height", "width")
        self._slow_indices = slow_indices(frames, _ALPHA)
        self._slow = torch.tensor(self._slow_indices, device=device)
        blocks = load_blocks(settings)
        without_data = deepcopy(blocks).to("meta").eval()
        clip = torch.empty(1, 3, frames, side, side, device="meta")
        maps = run_pathways(without_data, clip, self._slow.to("meta"))
        shapes = {name: (*(self._grid or found.shape[2:]), found.shape[1]) for name, found in maps.items()}
        shapes["pooled"] = (sum(found.shape[1] for found in maps.values()),)
        super().__init__(settings, device, blocks, square_view(settings, frames, side, "bilinear"), shapes)

    def architecture(self) -> dict[str, Any]:
        """See ModelEncoder."""
        return {**R50, **self.settings.architecture}

    def specification(self) -> dict[str, Any]:
        """See Encoder."""
        return {**super().specification(), "slow_frames": self._slow_indices}

    def forward(self, pixels: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """The maps [N, 1, t, h, w, C] of frames [N, T, 3, H, W]."""
        fast = self.laid_out(pixels.transpose(1, 2))  # [N, 3, T, H, W]
        maps = run_pathways(self.model, fast, self._slow)
        maps["pooled"] = torch.cat([found.mean(dim=(2, 3, 4)) for found in maps.values()], dim=1)
        return {
            name: (maps[name] if name == "pooled" else pooled_map(maps[name], self._grid))[:, None]
            for name in self.streams
        }


class MotionEncoder(_PathwayEncoder):
    """Stream `motion` [256], one item for every source frame: the fast pathway, averaged over space.

    As in the code of VQA² (arXiv 2411.03795), for the whole video at once. Lateral connections lead only
    from the fast pathway to the slow one, so the slow one is not run. An output frame depends on a bounded
    number of frames on either side; each chunk comes with so many of its neighbours, and they are dropped
    afterwards: features equal those of one pass over the video, whatever the length of the chunks, which
    therefore is not part of the key.
    """

    gpu_batch = 1  # a chunk of every frame of seconds is work enough

    def __init__(self, settings: EncoderSettings, device: str = "cpu") -> None:
        _check_whole_video(settings)
        pathway, side = fast_pathway(load_blocks(settings)), settings.input_size or _SIDE
        frames = 2
        maps = deepcopy(pathway).to("meta").eval()(torch.empty(1, 3, frames, side, side, device="meta"))
        if maps.shape[2] != frames:
            raise EncoderError(
                f"encoders.{settings.name}.architecture: the fast pathway has temporal strides: motion needs "
                "one vector for every frame"
            )
        request = FrameRequest(
            count=0,
            rule="all",
            size=(side, side),
            resize=settings.resize,
            interpolation=settings.interpolation or "bilinear",
        )
        length = chunk_seconds(settings, _MOTION_SECONDS)
        reach, multiple = temporal_reach(pathway), settings.frames_multiple or 1
        view = View({FRAMES: request}, length, "keep", reach, multiple)
        super().__init__(settings, device, pathway, view, {MOTION: (maps.shape[1],)})

    def architecture(self) -> dict[str, Any]:
        """See ModelEncoder."""
        return dict(self.settings.architecture)

    def specification(self) -> dict[str, Any]:
        """See Encoder."""
        multiple = self.settings.frames_multiple
        further = {} if multiple is None else {"frames_multiple": multiple}
        found = {**super().specification(), **further}
        return {name: value for name, value in found.items() if name != "chunk_seconds"}

    def forward(self, pixels: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """`motion` [N, T, C] of frames [N, T, 3, H, W]."""
        maps = self.model(self.laid_out(pixels.transpose(1, 2)))  # [N, C, T, h, w]
        return {MOTION: maps.mean(dim=(3, 4), dtype=torch.float32).transpose(1, 2)}


def _check_whole_video(settings: EncoderSettings) -> None:
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
