"""Vision transformers that see one frame of each chunk: the patch tokens of CLIP and SigLIP."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import CLIPVisionModel, SiglipVisionModel

from config.schema import EncoderSettings
from extract.encoders.arrays import pooled_tokens
from extract.encoders.base import checked_grid, square_view
from extract.encoders.vit.transformer import TransformerEncoder
from extract.errors import EncoderError

# config.json of openai/clip-vit-large-patch14, vision_config.
_VIT_L14: Mapping[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
# config.json of google/siglip-so400m-patch14-384, vision_config.
_SO400M: Mapping[str, Any] = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}


class KeyFrameEncoder(TransformerEncoder):
    """Stream `tokens` [patches, width]: hidden state `layer` of a frame's patches.

    Where the model has a class token and `grid` is not set, the stream `sequence` [1 + patches, width], kept
    if the settings name it, begins with it.

    An `input_size` other than the model's own interpolates its position embeddings. `grid` (height, width)
    resamples the patches to fewer tokens.
    """

    leading_tokens: ClassVar[int]
    """Tokens before those of the patches."""
    gpu_layout = torch.channels_last
    further_streams = ("sequence",)

    def __init__(self, settings: EncoderSettings, device: str = "cpu") -> None:
        if settings.frames_per_chunk not in (None, 1):
            raise EncoderError(
                f"encoders.{settings.name}.frames_per_chunk is {settings.frames_per_chunk}: {self.kind} sees "
                "one frame of a chunk; set chunks_per_second for more key frames"
            )
        self._grid = checked_grid(settings, "height", "width")
        model = self.load(settings)
        model.post_layernorm = nn.Identity()  # only the last hidden state's, which comes without it
        config = model.config
        size = settings.input_size or config.image_size
        self._resized = size != config.image_size
        self._side = size // config.patch_size
        height, width = self._grid or (self._side, self._side)
        shapes = {"tokens": (height * width, config.hidden_size)}
        if self.leading_tokens and self._grid is None:
            shapes["sequence"] = (self.leading_tokens + height * width, config.hidden_size)
        super().__init__(settings, device, model, square_view(settings, 1, size, "bicubic"), shapes)

    def forward(self, pixels: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """`tokens` [N, 1, patches, width] of frames [N, 1, 3, H, W]."""
        pictures = self.laid_out(pixels[:, 0])  # [N, 3, H, W]
        states = self.model(pictures, interpolate_pos_encoding=self._resized).last_hidden_state
        tokens = states[:, self.leading_tokens :]  # [N, side², width]
        if self._grid is not None:
            tokens = pooled_tokens(tokens, self._side, self._grid)
        return {"tokens": tokens[:, None], "sequence": states[:, None]}


class ClipEncoder(KeyFrameEncoder):
    """CLIP's tokens, without the CLS token.

    For ViT-L/14 at 224 x 224 that is [256, 1024]; layer -2 is the penultimate one and the key frame a
    chunk's first, as LMM-VQA takes them (arXiv 2408.14008, section III). Layers above it are not run.
    """

    kind = "clip"
    version = 2
    transformer = CLIPVisionModel
    default = _VIT_L14
    mean = (0.48145466, 0.4578275, 0.40821073)
    std = (0.26862954, 0.26130258, 0.27577711)
    leading_tokens = 1
    gpu_batch = 64


class SiglipEncoder(KeyFrameEncoder):
    """SigLIP's tokens.

    For so400m-patch14-384 that is [729, 1152], and [196, 1152] with the grid (14, 14). VQA² takes layer -2
    (arXiv 2411.03795; like LLaVA-OneVision, it drops the last layer). Neither the layers above it nor the
    pooling head are built.
    """

    kind = "siglip"
    version = 1
    transformer = SiglipVisionModel
    default = _SO400M
    without: ClassVar[Mapping[str, Any]] = {"vision_use_head": False}
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    leading_tokens = 0
    gpu_batch = 32
