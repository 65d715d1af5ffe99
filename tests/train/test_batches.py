"""Features of a chunk are its own: they do not depend on the chunks that are encoded along with it."""

import threading

import numpy as np
import pytest
from seen_chunks import random_chunks

from config.schema import EncoderSettings
from extract.encoders.registry import build_encoder
from extract.video.view import Chunk

VIT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
SLOWFAST = {"model_depth": 18, "stem_dim_outs": [16, 2]}
KINDS = {
    "clip": {"kind": "clip", "architecture": {**VIT, "image_size": 98}},
    "siglip": {"kind": "siglip", "architecture": {**VIT, "image_size": 98}, "grid": (4, 4)},
    "slowfast": {"kind": "slowfast", "architecture": SLOWFAST, "input_size": 32, "frames_per_chunk": 8},
    "motion": {
        "kind": "slowfast",
        "architecture": SLOWFAST,
        "input_size": 32,
        "streams": ("motion",),
        "tail": "keep",
    },
    "videomae": {"kind": "videomae", "architecture": {**VIT, "image_size": 64, "num_frames": 4}},
}


def built(kind, batch, **changes):
    values = {"name": kind, "weights": "random:0", "batch": batch, **KINDS[kind], **changes}
    return build_encoder(EncoderSettings(**values))


def chunks_for(encoder, count):
    if encoder.view.margin == 0:
        return random_chunks(encoder, count)
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (12, 3, 32, 32), np.uint8) for _ in range(count)]
    return [Chunk(i, float(i), {"frames": f}, before=2, after=4) for i, f in enumerate(frames)]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_features_are_the_same_bits_wherever_a_chunk_stands(kind, precision):
    encoder = built(kind, 4, precision=precision)
    chunks = chunks_for(encoder, 4)
    reference = encoder.encode(chunks)
    assert any(np.abs(array).max() > 0 for array in reference[0].values())
    assert not np.array_equal(*(next(iter(one.values())) for one in reference[:2]))
    for order in ([3, 1, 0, 2], [2], [1, 0], [3, 3, 2, 1, 0, 2]):
        found = encoder.encode([chunks[position] for position in order])
        assert len(found) == len(order)
        for position, features in zip(order, found, strict=True):
            for stream, shape in encoder.streams.items():
                np.testing.assert_array_equal(features[stream], reference[position][stream])
                assert features[stream].shape[1:] == shape.shape
                assert features[stream].dtype == np.float16


@pytest.mark.slow
def test_batches_of_one_and_of_four_agree_to_the_last_place_of_half_precision(kind):
    one, four = built(kind, 1), built(kind, 4)
    assert one.specification() == four.specification()
    chunks = chunks_for(one, 3)
    for single, batched in zip(one.encode(chunks), four.encode(chunks), strict=True):
        for stream, array in single.items():
            np.testing.assert_array_max_ulp(array, batched[stream], maxulp=1)


@pytest.mark.slow
def test_reduced_precision_stays_near_the_full_one(kind):
    full, reduced = built(kind, 1), built(kind, 1, precision="bfloat16")
    chunks = chunks_for(full, 1)
    (one,), (other,) = full.encode(chunks), reduced.encode(chunks)
    for stream, array in one.items():
        scale = np.abs(array.astype(np.float32)).max()
        difference = np.abs(array.astype(np.float32) - other[stream]).max()
        assert 0 < difference < 0.05 * scale


def test_chunks_of_other_lengths_are_encoded_apart():
    encoder = built("motion", 4)
    frames = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), np.uint8)
    chunks = [Chunk(i, 0.0, {"frames": frames[:count]}) for i, count in enumerate((12, 5, 12, 1))]
    found = encoder.encode(chunks)
    assert [len(one["motion"]) for one in found] == [12, 5, 12, 1]
    np.testing.assert_array_equal(found[0]["motion"], found[2]["motion"])
    assert encoder.encode([]) == []


def test_the_default_batch_on_a_cpu_is_one(kind):
    assert built(kind, None).batch == 1


@pytest.mark.soak  # compiling takes 2 to 20 seconds
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_compiled_model_gives_the_same():
    plain, compiled = built("siglip", 2), built("siglip", 2, compile=True)
    assert plain.specification() == compiled.specification()
    chunks = chunks_for(plain, 3)
    for one, other in zip(plain.encode(chunks), compiled.encode(chunks), strict=True):
        np.testing.assert_allclose(one["tokens"], other["tokens"], atol=2e-3)


def test_another_thread_may_encode():
    encoder = built("clip", 4)
    chunks = chunks_for(encoder, 2)
    found = []
    thread = threading.Thread(target=lambda: found.extend(encoder.encode(chunks)))
    thread.start()
    thread.join()
    for one, other in zip(encoder.encode(chunks), found, strict=True):
        np.testing.assert_array_equal(one["tokens"], other["tokens"])
