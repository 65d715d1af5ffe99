"""CLIP's vision transformer: patch tokens of each chunk's key frame."""

from transformers import CLIPVisionModel

from extract.encoders.vit.key_frame import KeyFrameEncoder

# config.json of openai/clip-vit-large-patch14, vision_config.
_VIT_L14 = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}


class ClipEncoder(KeyFrameEncoder):
    """Stream `tokens` [patches, width]: hidden state `layer` of the key frame, without the CLS token.

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
