import numpy as np
import pytest
import torch
from PIL import Image
from seen_chunks import random_chunks, stacked
from torch.nn.functional import interpolate
from transformers import SiglipConfig, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from config.schema import EncoderSettings
from extract.encoders.arrays import Overflow
from extract.encoders.registry import build_encoder
from extract.encoders.vit.key_frame import SiglipEncoder
from extract.errors import EncoderError
from extract.video.view import Chunk

TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
SIDE = 98  # 7 x 7 patches


def siglip_settings(**changes):
    values = {"name": "tiny-siglip", "kind": "siglip", "weights": "random:0", "dtype": "float32"}
    return EncoderSettings(**{**values, "architecture": {**TINY, "image_size": SIDE}, **changes})


@pytest.fixture(scope="module")
def model():
    """The whole SigLIP of transformers, with weights large enough to tell pictures apart."""
    torch.manual_seed(5)
    vision = {**TINY, "image_size": SIDE, "patch_size": 14}
    whole = SiglipModel(SiglipConfig(vision_config=vision, text_config={**TINY, "vocab_size": 100}))
    for weight in whole.vision_model.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.2)
    return whole.eval()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "siglip"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pictures():
    """PIL images of another size than the model's."""
    random = np.random.default_rng(3)
    return [Image.fromarray(random.integers(0, 256, (60, 80, 3), np.uint8)) for _ in range(3)]


@pytest.fixture(scope="module")
def chunks(pictures):
    """The pictures, scaled as SigLIP does, with PIL's own filter."""
    scaled = [np.asarray(p.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for p in pictures]
    return [Chunk(i, float(i), {"frames": s.transpose(2, 0, 1)[None].copy()}) for i, s in enumerate(scaled)]


def hidden_states(model, pictures, layer):
    """What transformers' own preprocessing and whole model give: [N, 49, 32]."""
    processor = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    pixels = processor(pictures, return_tensors="pt").pixel_values
    with torch.no_grad():
        return model.vision_model(pixels, output_hidden_states=True).hidden_states[layer]


@pytest.mark.parametrize("layer", [-1, -2, 1])
def test_tokens_are_the_hidden_states_of_transformers_own_model(model, saved, pictures, chunks, layer):
    encoder = SiglipEncoder(siglip_settings(weights=str(saved), layer=layer))
    assert encoder.streams["tokens"].shape == (49, 32)
    tokens = stacked(encoder.encode(chunks), "tokens")
    np.testing.assert_allclose(tokens, hidden_states(model, pictures, layer), atol=2e-4)


def test_the_grid_resamples_the_tokens_bilinearly(model, saved, pictures, chunks):
    encoder = SiglipEncoder(siglip_settings(weights=str(saved), grid=(4, 3)))
    assert encoder.streams["tokens"].shape == (12, 32)
    maps = hidden_states(model, pictures, -2).reshape(3, 7, 7, 32).permute(0, 3, 1, 2)
    pooled = interpolate(maps, (4, 3), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    tokens = stacked(encoder.encode(chunks), "tokens")
    np.testing.assert_allclose(tokens, pooled.reshape(3, 12, 32), atol=2e-4)


def test_the_default_is_so400m_at_384_and_vqa2s_grid_has_196_tokens():
    architecture = {"num_hidden_layers": 2, "intermediate_size": 16}
    encoder = build_encoder(siglip_settings(architecture=architecture))
    assert encoder.streams["tokens"].shape == (729, 1152)
    request = encoder.view.requests["frames"]
    assert (request.size, request.resize, request.interpolation) == ((384, 384), "stretch", "bicubic")
    pooled = build_encoder(siglip_settings(architecture=architecture, grid=(14, 14)))
    assert pooled.streams["tokens"].shape == (196, 1152)


def test_layers_that_are_not_run_are_not_built():
    encoder = SiglipEncoder(siglip_settings())
    names = [name for name, _ in encoder.model.named_parameters()]
    assert not [name for name in names if "layers.2" in name or "head." in name or "post_layernorm" in name]


def test_another_input_size_interpolates_the_positions(saved):
    encoder = SiglipEncoder(siglip_settings(weights=str(saved), input_size=126))
    assert encoder.streams["tokens"].shape == (81, 32)
    (features,) = encoder.encode(random_chunks(encoder, 1))
    assert features["tokens"].shape == (1, 81, 32)


def test_features_that_half_precision_cannot_hold_are_refused_by_name(chunks, saved):
    encoder = SiglipEncoder(siglip_settings(weights=str(saved), dtype="float16", std=(1e-6, 1e-6, 1e-6)))
    with pytest.raises(Overflow, match=r"encoders\.tiny-siglip: features up to .* do not fit into float16"):
        encoder.encode(chunks)


def test_a_grid_of_maps_is_refused():
    with pytest.raises(EncoderError, match=r"grid is \[4, 4, 0\]: expected 2 positive numbers"):
        SiglipEncoder(siglip_settings(grid=(4, 4, 0)))
