from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_videos import encode
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from config.schema import EncoderSettings
from extract.decode import decode
from extract.encoders.arrays import Overflow, normalised, storable
from extract.encoders.clip import ClipEncoder
from extract.errors import EncoderError

TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}


def clip_settings(**changes):
    values = {"name": "tiny-clip", "kind": "clip", "weights": "random:0", "architecture": TINY}
    return EncoderSettings(**{**values, "dtype": "float32", **changes})


@pytest.fixture(scope="module")
def chunks(tmp_path_factory):
    path = encode(tmp_path_factory.mktemp("clip") / "v.mp4", frames=60, rate=20)
    return list(decode(path, ClipEncoder(clip_settings()).requests))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(5)
    config = CLIPVisionConfig(**TINY, patch_size=14)
    folder = tmp_path_factory.mktemp("weights") / "clip"
    CLIPVisionModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("layer", [-1, -2, 1])
def test_tokens_are_the_hidden_states_of_transformers_own_model(chunks, saved, layer):
    encoder = ClipEncoder(clip_settings(weights=str(saved), layer=layer))
    tokens = encoder.encode(chunks)["tokens"]
    pictures = [chunk.frames["key"][0] for chunk in chunks]
    processor = CLIPImageProcessor(do_resize=False, do_center_crop=False)
    pixels = processor(pictures, return_tensors="pt").pixel_values
    model = CLIPVisionModel.from_pretrained(saved).eval()
    with torch.no_grad():
        states = model(pixels, output_hidden_states=True).hidden_states[layer]
    assert tokens.shape == (3, 256, 32)
    assert encoder.streams["tokens"].shape == (256, 32)
    np.testing.assert_allclose(tokens, states[:, 1:].numpy(), atol=2e-5)


def test_tokens_do_not_depend_on_the_batch(chunks):
    encoder = ClipEncoder(clip_settings())
    together = encoder.encode(chunks)["tokens"]
    alone = np.concatenate([encoder.encode([chunk])["tokens"] for chunk in chunks])
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_random_weights_follow_the_seed_and_leave_the_generator_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, again, other = (ClipEncoder(clip_settings(weights=f"random:{seed}")) for seed in (0, 0, 1))
    assert first.specification() == again.specification()
    assert first.specification()["weights"] != other.specification()["weights"]
    assert torch.equal(before, torch.random.get_rng_state())


def test_random_weights_have_the_size_of_vit_l14_unless_overridden():
    encoder = ClipEncoder(clip_settings(architecture={"num_hidden_layers": 2}))
    assert encoder.streams["tokens"].shape == (256, 1024)
    assert encoder.specification()["architecture"]["patch_size"] == 14


def test_the_specification_changes_with_the_numbers_and_not_with_the_name(saved, tmp_path):
    base = ClipEncoder(clip_settings()).specification()
    assert ClipEncoder(clip_settings(name="other", source="elsewhere")).specification() == base
    changes = [{"layer": -1}, {"dtype": "float16"}, {"precision": "bfloat16"}, {"weights": str(saved)}]
    changed = [ClipEncoder(clip_settings(**change)).specification() for change in changes]
    assert all(one != base for one in changed)
    moved = Path(tmp_path / "moved")
    moved.symlink_to(saved)
    assert ClipEncoder(clip_settings(weights=str(moved))).specification() == changed[-1]


def test_stored_in_half_precision(chunks):
    half = ClipEncoder(clip_settings(dtype="float16")).encode(chunks)["tokens"]
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, ClipEncoder(clip_settings()).encode(chunks)["tokens"], atol=4e-3)


def test_a_feature_that_half_precision_cannot_hold_is_refused():
    with pytest.raises(Overflow, match=r"1e\+05 do not fit into float16"):
        storable(torch.tensor([1e5]), "float16", "clip")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 255), st.floats(0, 1), st.floats(0.1, 1))
def test_normalisation_is_that_of_the_papers(value, mean, std):
    pixel = torch.full((1, 1, 3), value, dtype=torch.uint8)
    got = normalised(pixel, [mean] * 3, [std] * 3, torch.float32)
    assert got.flatten()[0].item() == pytest.approx((value / 255 - mean) / std, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, "is not set"),
        ({"weights": "random:x"}, "expected random:SEED"),
        ({"weights": "/nowhere/clip", "source": "https://example.org"}, "get them: https://example.org"),
        ({"layer": -9}, "hidden states 1 to 3"),
    ],
)
def test_weights_that_cannot_be_used_say_what_to_do(changes, message):
    with pytest.raises(EncoderError, match=message):
        ClipEncoder(clip_settings(**changes))
