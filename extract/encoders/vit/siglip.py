"""SigLIP's vision transformer: patch tokens of each chunk's key frame."""

from transformers import SiglipVisionModel

from extract.encoders.vit.key_frame import KeyFrameEncoder

# config.json of google/siglip-so400m-patch14-384, vision_config.
_SO400M = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 384,
    "patch_size": 14,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
_NO_HEAD = {"vision_use_head": False}


class SiglipEncoder(KeyFrameEncoder):
    """Stream `tokens` [patches, width]: hidden state `layer` of the key frame.

    For so400m-patch14-384 that is [729, 1152], and [196, 1152] with the grid (14, 14). VQA² takes layer -2
    (arXiv 2411.03795; like LLaVA-OneVision, it drops the last layer). Neither the layers above it nor the
    pooling head are built.
    """

    kind = "siglip"
    version = 1
    transformer = SiglipVisionModel
    default = _SO400M
    without = _NO_HEAD
    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)
    leading_tokens = 0
    gpu_batch = 32
