"""VideoMAE: one transformer over space and time, whose tokens cover each chunk."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from transformers import VideoMAEModel

from config.schema import EncoderSettings
from extract.encoders.arrays import pooled_map
from extract.encoders.base import checked_grid, square_view
from extract.encoders.vit.transformer import TransformerEncoder
from extract.errors import EncoderError

# config.json of MCG-NJU/videomae-base.
_BASE: Mapping[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "num_frames": 16,
    "tubelet_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}


class VideoMaeEncoder(TransformerEncoder):
    """Stream `tokens` [t, h, w, width]: hidden state `layer` as a map over the chunk's time and space.

    For 16 frames of 224 x 224 that is [8, 14, 14, 768]; `grid` (time, height, width) average-pools it.
    Tong et al., arXiv 2203.12602; every token has seen the whole chunk.
    """

    kind = "videomae"
    version = 1
    transformer = VideoMAEModel
    default = _BASE
    # With mean pooling a model has no norm after its last layer: hidden states come without it.
    without: ClassVar[Mapping[str, Any]] = {"use_mean_pooling": True}
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    gpu_batch = 32
    gpu_layout = torch.channels_last_3d

    def __init__(self, settings: EncoderSettings, device: str = "cpu") -> None:
        self._grid = checked_grid(settings, "time", "height", "width")
        model = self.load(settings)
        config = model.config
        frames, size = config.num_frames, config.image_size
        for key, expected in (("frames_per_chunk", frames), ("input_size", size)):
            if getattr(settings, key) not in (None, expected):
                raise EncoderError(
                    f"encoders.{settings.name}.{key} is {getattr(settings, key)}, but these weights have "
                    f"positions for {expected} alone: leave it out"
                )
        side = size // config.patch_size
        self._map = (frames // config.tubelet_size, side, side)
        shapes = {"tokens": (*(self._grid or self._map), config.hidden_size)}
        super().__init__(settings, device, model, square_view(settings, frames, size, "bilinear"), shapes)
        # No parameter of the model, so that it would be copied to the device for every batch.
        embeddings: Any = model.embeddings
        embeddings.position_embeddings = embeddings.position_embeddings.to(self.device)

    def forward(self, pixels: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """`tokens` [N, 1, t, h, w, width] of frames [N, T, 3, H, W]."""
        states = self.model(pixels).last_hidden_state  # [N, t · h · w, width]
        maps = states.unflatten(1, self._map).movedim(-1, 1)  # [N, width, t, h, w]
        return {"tokens": pooled_map(maps, self._grid)[:, None]}
