"""CLIP's vision transformer: patch tokens of each chunk's key frame."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from config.schema import EncoderSettings
from extract.decode import DECODE_VERSION
from extract.encoders.arrays import PRECISIONS, normalised, stacked, storable
from extract.encoders.base import Chunk, FrameRequest, StreamShape
from extract.errors import EncoderError
from extract.weights import absent, digest, local_path, random_seed, seeded

_VERSION = 1
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)
# config.json of openai/clip-vit-large-patch14, vision_config.
_VIT_L14 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}


class ClipEncoder:
    """Stream `tokens` [patches, width]: hidden state `layer` of the key frame, without the CLS token.

    For ViT-L/14 at 224 x 224 that is [256, 1024]; layer -2 is the penultimate one, as LMM-VQA takes it
    (arXiv 2408.14008, section III). Layers above it are not run.
    """

    in_worker = False

    def __init__(self, settings: EncoderSettings, device: str = "cpu") -> None:
        self._settings = settings
        self._device = torch.device(device)
        self._dtype = PRECISIONS[settings.precision]
        model = _load(settings)
        self._layers = _layers_to_run(settings, model.config.num_hidden_layers)
        del model.encoder.layers[self._layers :]
        self._digest = digest(model)
        self._config: Any = model.config
        module: nn.Module = model
        self._model = module.to(self._device, self._dtype).eval()
        size = settings.input_size
        patches = _patches(self._config, size)
        self._request = FrameRequest(count=1, rule="first", size=(size, size))
        self.requests: Mapping[str, FrameRequest] = {"key": self._request}
        self.streams: Mapping[str, StreamShape] = {
            "tokens": StreamShape((patches, self._config.hidden_size), settings.dtype)
        }

    def specification(self) -> dict[str, Any]:
        """See Encoder."""
        return {
            "kind": "clip",
            "version": _VERSION,
            "decode": DECODE_VERSION,
            "architecture": {name: getattr(self._config, name) for name in _VIT_L14},
            "layers_run": self._layers,
            "weights": self._digest,
            "frames": {"count": self._request.count, "rule": self._request.rule},
            "input_size": self._settings.input_size,
            "mean": list(_MEAN),
            "std": list(_STD),
            "precision": self._settings.precision,
            "dtype": self._settings.dtype,
        }

    @torch.inference_mode()
    def encode(self, chunks: Sequence[Chunk]) -> dict[str, NDArray[Any]]:
        """Tokens [N, patches, width] of the chunks' key frames."""
        pictures = stacked(chunks, "key", self._device)[:, 0]  # uint8 [N, H, W, 3]
        pixels = normalised(pictures, _MEAN, _STD, self._dtype).permute(0, 3, 1, 2)  # [N, 3, H, W]
        resized = self._settings.input_size != self._config.image_size
        states = self._model(pixels, interpolate_pos_encoding=resized).last_hidden_state  # [N, 1 + P, D]
        return {"tokens": storable(states[:, 1:], self._settings.dtype, self._settings.name)}


def _load(settings: EncoderSettings) -> CLIPVisionModel:
    seed = random_seed(settings)
    if seed is not None:
        config = CLIPVisionConfig(**{**_VIT_L14, **settings.architecture})
        return seeded(lambda: CLIPVisionModel(config), seed)
    place = local_path(settings) or settings.weights
    try:
        return CLIPVisionModel.from_pretrained(
            place, revision=settings.revision or "main", use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        raise absent(settings, str(error).splitlines()[0]) from None


def _patches(config: Any, size: int) -> int:
    return int(size // config.patch_size) ** 2


def _layers_to_run(settings: EncoderSettings, available: int) -> int:
    """Layers below hidden state `layer`, counted as transformers does: 0 is the embeddings, -1 the last."""
    layer = settings.layer if settings.layer >= 0 else available + 1 + settings.layer
    if not 1 <= layer <= available:
        raise EncoderError(
            f"encoders.{settings.name}.layer is {settings.layer}, but the model has hidden states "
            f"1 to {available} (or -1 to -{available})"
        )
    return layer
