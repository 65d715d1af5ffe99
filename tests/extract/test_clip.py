from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seen_chunks import decoded_chunks, random_chunks, stacked
from small_videos import encode
from transformers import CLIPConfig, CLIPModel, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from config.schema import EncoderSettings
from extract.encoders.arrays import Normalisation, Overflow, storable
from extract.encoders.vit.key_frame import ClipEncoder, SiglipEncoder
from extract.errors import EncoderError

TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}


def clip_settings(**changes):
    values = {"name": "tiny-clip", "kind": "clip", "weights": "random:0", "architecture": TINY}
    return EncoderSettings(**{**values, "dtype": "float32", **changes})


@pytest.fixture(scope="module")
def chunks():
    return random_chunks(ClipEncoder(clip_settings()), 3)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder of a whole CLIP, text tower included, whose weights are large enough to tell pictures apart."""
    torch.manual_seed(5)
    text = {**TINY, "vocab_size": 100, "bos_token_id": 98, "eos_token_id": 99}
    model = CLIPModel(CLIPConfig(vision_config={**TINY, "patch_size": 14}, text_config=text))
    for weight in model.vision_model.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.2)
    folder = tmp_path_factory.mktemp("weights") / "clip"
    model.save_pretrained(folder)
    return folder


def hidden_states(folder, pixels, layer):
    """What transformers' whole model gives, without the CLS token."""
    with torch.no_grad():
        model = CLIPModel.from_pretrained(folder).vision_model.eval()
        return model(pixels, output_hidden_states=True).hidden_states[layer][:, 1:].numpy()


@pytest.mark.parametrize("layer", [-1, -2, 1])
def test_tokens_are_the_hidden_states_of_transformers_own_model(chunks, saved, layer):
    encoder = ClipEncoder(clip_settings(weights=str(saved), layer=layer))
    tokens = stacked(encoder.encode(chunks), "tokens")
    pictures = [chunk.frames["frames"][0] for chunk in chunks]
    processor = CLIPImageProcessorPil(do_resize=False, do_center_crop=False)
    pixels = processor(pictures, input_data_format="channels_first", return_tensors="pt").pixel_values
    assert tokens.shape == (3, 256, 32)
    assert encoder.streams["tokens"].shape == (256, 32)
    np.testing.assert_allclose(tokens, hidden_states(saved, pixels, layer), atol=2e-4)


def test_the_sequence_begins_with_the_class_token_and_goes_on_with_the_tokens(chunks, saved):
    usual = ClipEncoder(clip_settings(weights=str(saved), layer=-1))
    encoder = ClipEncoder(clip_settings(weights=str(saved), layer=-1, streams=("sequence", "tokens")))
    features = encoder.encode(chunks)
    sequence, tokens = stacked(features, "sequence"), stacked(features, "tokens")
    assert sequence.shape == (3, 257, 32) and encoder.streams["sequence"].shape == (257, 32)
    np.testing.assert_array_equal(sequence[:, 1:], tokens)
    np.testing.assert_array_equal(tokens, stacked(usual.encode(chunks), "tokens"))
    assert list(usual.streams) == ["tokens"] and np.abs(sequence[:, 0]).max() > 0.1
    with pytest.raises(EncoderError, match=r"expected one or more of \['tokens'\]"):
        ClipEncoder(clip_settings(weights=str(saved), streams=("sequence",), grid=(4, 4)))


def cosines(one, other):
    return (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


def key_frames(path, rate):
    """RGB of the first frame of every second, by the plainest means."""
    with av.open(str(path)) as container:
        return [
            f.to_ndarray(format="rgb24") for i, f in enumerate(container.decode(video=0)) if i % rate == 0
        ]


@pytest.mark.slow
def test_tokens_of_a_real_video_are_those_of_clips_own_preprocessing(shared_data, saved):
    path = shared_data / "videos" / "vsfa_test.mp4"
    with av.open(str(path)) as container:
        rate = round(container.streams.video[0].average_rate)
    found = {}
    for resize in ("crop", "stretch"):
        encoder = ClipEncoder(clip_settings(weights=str(saved), resize=resize))
        found[resize] = stacked(encoder.encode(decoded_chunks(path, encoder)), "tokens")
    pictures = key_frames(path, rate)[: len(found["crop"])]
    pixels = CLIPImageProcessorPil()(pictures, return_tensors="pt").pixel_values
    expected = hidden_states(saved, pixels, -2)
    assert cosines(found["crop"], expected).mean() >= 0.999
    assert cosines(found["stretch"], expected).mean() < 0.999


def test_key_frames_come_at_the_rate_and_place_that_the_settings_say(tmp_path):
    path = encode(tmp_path / "v.mp4", frames=50, rate=20, size=(32, 32))
    brightness = {}
    for name, changes in {
        "first": {},
        "middle": {"sampling": "middle"},
        "twice": {"chunks_per_second": 2.0},
        "tail": {"tail": "keep"},
    }.items():
        encoder = ClipEncoder(clip_settings(input_size=28, **changes))
        brightness[name] = [c.frames["frames"].mean() for c in decoded_chunks(path, encoder)]
    frame = (np.array(brightness["first"][1]) - brightness["first"][0]) / 20
    steps = {name: np.round((np.array(b) - brightness["first"][0]) / frame) for name, b in brightness.items()}
    assert {name: s.tolist() for name, s in steps.items()} == {
        "first": [0, 20],
        "middle": [9, 29],
        "twice": [0, 10, 20, 30, 40],
        "tail": [0, 20, 40],
    }


@pytest.mark.parametrize(("rate", "seconds"), [(0.1, "10"), (29.97, "100/2997"), (3, "1/3")])
def test_the_length_of_a_chunk_is_exact(rate, seconds):
    encoder = ClipEncoder(clip_settings(chunks_per_second=rate))
    assert encoder.view.chunk_seconds == Fraction(seconds)
    assert encoder.specification()["chunk_seconds"] == seconds


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
    architecture = encoder.specification()["architecture"]
    assert (architecture["patch_size"], architecture["num_hidden_layers"]) == (14, 1)


def test_the_specification_changes_with_the_numbers_and_with_nothing_else(saved, tmp_path):
    base = ClipEncoder(clip_settings()).specification()
    for changes in ({"name": "other"}, {"source": "elsewhere"}, {"batch": 8}, {"layer": 2}):
        assert ClipEncoder(clip_settings(**changes)).specification() == base
    changes = [
        {"layer": -1},
        {"dtype": "float16"},
        {"precision": "bfloat16"},
        {"weights": str(saved)},
        {"sampling": "middle"},
        {"resize": "crop"},
        {"interpolation": "bilinear"},
        {"mean": (0.5, 0.5, 0.5)},
        {"chunks_per_second": 2.0},
        {"tail": "keep"},
        {"input_size": 56},
        {"grid": (4, 4)},
    ]
    changed = [ClipEncoder(clip_settings(**change)).specification() for change in changes]
    assert all(one != other for i, one in enumerate([base, *changed]) for other in changed[i:])
    moved = Path(tmp_path / "moved")
    moved.symlink_to(saved)
    assert ClipEncoder(clip_settings(weights=str(moved))).specification() == changed[3]


def test_a_folder_of_the_vision_tower_alone_gives_the_same_as_the_whole_model(saved, tmp_path):
    CLIPVisionModel.from_pretrained(saved).save_pretrained(tmp_path)
    towers = [ClipEncoder(clip_settings(weights=str(folder))) for folder in (saved, tmp_path)]
    assert towers[0].specification() == towers[1].specification()


def test_a_checkpoint_that_lacks_weights_is_refused(saved):
    with pytest.raises(EncoderError, match=r"does not fit SiglipVisionModel: .* are absent"):
        SiglipEncoder(clip_settings(kind="siglip", weights=str(saved)))


def test_stored_in_half_precision(chunks):
    half = stacked(ClipEncoder(clip_settings(dtype="float16")).encode(chunks), "tokens")
    assert half.dtype == np.float16
    full = stacked(ClipEncoder(clip_settings()).encode(chunks), "tokens")
    np.testing.assert_allclose(half, full, atol=4e-3)


def test_a_feature_that_half_precision_cannot_hold_is_refused():
    with pytest.raises(Overflow, match=r"1e\+05 do not fit into float16"):
        storable(torch.tensor([1e5]), "float16", "clip")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 255), st.floats(0, 1), st.floats(0.1, 1))
def test_normalisation_is_that_of_the_papers(value, mean, std):
    pixel = torch.full((1, 3, 1, 1), value, dtype=torch.uint8)
    normalise = Normalisation([mean] * 3, [std] * 3, torch.device("cpu"), torch.float32)
    assert normalise(pixel).flatten()[0].item() == pytest.approx((value / 255 - mean) / std, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": None}, "is not set"),
        ({"weights": "/nowhere/clip", "source": "https://example.org"}, "get them: https://example.org"),
        ({"layer": -9}, "hidden states 1 to 3"),
        ({"architecture": {"num_hiden_layers": 3}}, "unknown 'num_hiden_layers'; known: hidden_size"),
        ({"architecture": {"hidden_size": "wide"}}, "architecture: .*hidden_size"),
        ({"frames_per_chunk": 2}, "one frame of a chunk"),
        ({"grid": (2, 2, 2)}, r"expected 2 positive numbers, \(height, width\)"),
        ({"streams": ("slow",)}, r"expected one or more of \['tokens', 'sequence'\]"),
    ],
)
def test_settings_that_cannot_work_say_why(changes, message):
    with pytest.raises(EncoderError, match=message):
        ClipEncoder(clip_settings(**changes))
