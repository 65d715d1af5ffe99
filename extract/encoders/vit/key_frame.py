"""Vision transformers that see one frame of each chunk: their patch tokens."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import PreTrainedModel

from config.schema import EncoderSettings
from extract.encoders.arrays import pooled_tokens
from extract.encoders.base import StreamShape
from extract.encoders.choices import checked_grid, kept_streams, square_view
from extract.encoders.model import ModelEncoder
from extract.encoders.vit.transformer import described, load_transformer
from extract.errors import EncoderError
from extract.video.view import Interpolation


class KeyFrameEncoder(ModelEncoder):
    """Stream `tokens` [patches, width]: hidden state `layer` of a frame's patches.

    An `input_size` other than the model's own interpolates its position embeddings. `grid` (height, width)
    resamples the patches to fewer tokens.
    """

    transformer: ClassVar[type[PreTrainedModel]]
    default: ClassVar[Mapping[str, Any]]
    """The architecture of `random:SEED` weights."""
    without: ClassVar[Mapping[str, Any]] = {}
    """Values of the configuration that leave out parts which are not run."""
    interpolation: ClassVar[Interpolation] = "bicubic"
    leading_tokens: ClassVar[int]
    """Tokens before those of the patches."""

    gpu_layout = torch.channels_last

    def __init__(self, settings: EncoderSettings, device: str = "cpu") -> None:
        if settings.frames_per_chunk not in (None, 1):
            raise EncoderError(
                f"encoders.{settings.name}.frames_per_chunk is {settings.frames_per_chunk}: {self.kind} sees "
                "one frame of a chunk; set chunks_per_second for more key frames"
            )
        self._grid = checked_grid(settings, ("height", "width"))
        model = load_transformer(settings, self.transformer, self.default, self.without)
        model.post_layernorm = nn.Identity()  # only the last hidden state's, which comes without it
        self._config = model.config
        size = settings.input_size or self._config.image_size
        self._resized = size != self._config.image_size
        self._side = size // self._config.patch_size
        height, width = self._grid or (self._side, self._side)
        shape = StreamShape((height * width, self._config.hidden_size), settings.array_dtype)
        super().__init__(
            settings,
            device,
            model,
            square_view(settings, 1, size, self.interpolation),
            kept_streams(settings, {"tokens": shape}),
        )

    def architecture(self) -> dict[str, Any]:
        """See ModelEncoder."""
        return described(self._config, self.default)

    def forward(self, pixels: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """`tokens` [N, 1, patches, width] of frames [N, 1, 3, H, W]."""
        pictures = self.laid_out(pixels[:, 0])  # [N, 3, H, W]
        states = self.model(pictures, interpolate_pos_encoding=self._resized).last_hidden_state
        tokens = states[:, self.leading_tokens :]  # [N, side², width]
        if self._grid is not None:
            tokens = pooled_tokens(tokens, self._side, self._grid)
        return {"tokens": tokens[:, None]}
