"""Motion, chunk by chunk with some neighbours of each, equals that of one pass over the whole video."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from seen_chunks import decoded_chunks
from small_videos import encode
from tiny_slowfast import TINY_MOTION, motion_settings, trained_slowfast, whole_pass

from extract.encoders.registry import build_encoder
from extract.encoders.slowfast.encoders import MotionEncoder
from extract.errors import EncoderError
from extract.video.view import Chunk

FRAMES = 92


@pytest.fixture(scope="module")
def model():
    """pytorchvideo's own two pathways, with weights as training leaves them: no layer is zero."""
    return trained_slowfast(**TINY_MOTION)


@pytest.fixture(scope="module")
def encoder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "SLOWFAST.pyth"
    torch.save({"model_state": model.state_dict()}, path)
    return build_encoder(motion_settings(weights=str(path)))


@pytest.fixture(scope="module")
def video():
    """uint8 [FRAMES, 3, 32, 32] of noise: no two frames are alike."""
    return np.random.default_rng(0).integers(0, 256, (FRAMES, 3, 32, 32), np.uint8)


def cut(video, lengths, margin):
    """Chunks of these lengths, with as many neighbours on either side as there are, up to the margin."""
    chunks, start = [], 0
    for length in lengths:
        end = min(start + length, len(video))
        first, last = max(0, start - margin), min(len(video), end + margin)
        frames = {"frames": video[first:last]}
        chunks.append(Chunk(len(chunks), 0.0, frames, before=start - first, after=last - end))
        start = end
    assert start == len(video)
    return chunks


@pytest.mark.parametrize(
    "lengths",
    [[FRAMES], [30, 30, 32], [1, 90, 1], [5] * 19, [FRAMES - 3, 3]],
    ids=lambda parts: str(parts[:3]),
)
def test_chunks_with_their_neighbours_equal_one_pass_over_the_video(model, encoder, video, lengths):
    chunks = cut(video, lengths, encoder.view.margin)
    found = [features["motion"] for features in encoder.encode(chunks)]
    assert [len(part) for part in found] == [len(c.frames["frames"]) - c.before - c.after for c in chunks]
    expected = whole_pass(model, video)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-5, rtol=1e-5)


def test_one_neighbour_fewer_would_not_do(model, encoder, video):
    chunks = cut(video, [46, 46], encoder.view.margin - 1)
    found = np.concatenate([features["motion"] for features in encoder.encode(chunks)])
    assert np.abs(found - whole_pass(model, video)).max() > 1e-5


def test_the_margin_follows_from_the_layers():
    assert build_encoder(motion_settings()).view.margin == 2 + 4
    full = build_encoder(motion_settings(architecture={}))
    assert full.view.margin == 2 + 16
    assert full.streams["motion"].shape == (256,)


def test_a_decoded_video_gives_one_vector_for_every_frame(encoder, model, tmp_path):
    path = encode(tmp_path / "v.mp4", frames=FRAMES, rate=10, size=(32, 32))
    chunks = decoded_chunks(path, encoder)
    assert [chunk.start_seconds for chunk in chunks] == [0.0, 4.0, 8.0]
    own = [c.frames["frames"][c.before : len(c.frames["frames"]) - c.after] for c in chunks]
    found = np.concatenate([features["motion"] for features in encoder.encode(chunks)])
    assert found.shape == (FRAMES, *encoder.streams["motion"].shape)
    np.testing.assert_allclose(found, whole_pass(model, np.concatenate(own)), atol=1e-5, rtol=1e-5)


def test_only_the_fast_pathway_is_built(encoder, model):
    fast = sum(
        parameter.numel() for name, parameter in model.named_parameters() if "multipathway_blocks.1." in name
    )
    assert sum(parameter.numel() for parameter in encoder.model.parameters()) == fast


def test_the_length_of_a_chunk_is_four_seconds_unless_it_is_set_and_not_in_the_key():
    usual, other = build_encoder(motion_settings()), build_encoder(motion_settings(chunks_per_second=1.0))
    assert (usual.view.chunk_seconds, other.view.chunk_seconds) == (Fraction(4), Fraction(1))
    assert usual.specification() == other.specification()
    assert usual.view.tail == "keep"


def test_it_takes_siglips_input_as_vqa2_does():
    encoder = build_encoder(motion_settings(mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic"))
    specification = encoder.specification()
    assert (specification["mean"], specification["std"]) == ([0.5] * 3, [0.5] * 3)
    assert encoder.view.requests["frames"].interpolation == "bicubic"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"streams": ("slow", "motion")}, "must be the only stream"),
        ({"tail": "drop"}, 'set tail = "keep"'),
        ({"sampling": "middle"}, "sampling is 'middle': motion has one vector for every frame"),
        ({"frames_per_chunk": 32}, "frames_per_chunk is 32"),
        ({"grid": (1, 1, 1)}, "grid is"),
        (
            {"architecture": {**TINY_MOTION, "stage_temporal_strides": [[1] * 4, [1, 2, 1, 1]]}},
            "temporal strides",
        ),
    ],
)
def test_settings_that_cannot_work_say_why(changes, message):
    with pytest.raises(EncoderError, match=message):
        build_encoder(motion_settings(**changes))


def test_the_registry_gives_the_motion_encoder():
    assert isinstance(build_encoder(motion_settings()), MotionEncoder)
