from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
import torch
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from seen_chunks import random_chunks

from config.schema import EncoderSettings
from extract.encoders.arrays import storable
from extract.encoders.vit.key_frame import ClipEncoder
from store.care.verify import verify
from store.errors import InvalidFeatures, InvalidRange
from store.feature_set import FeatureSet
from store.features import FeatureStore, StreamShape
from store.format.dtypes import array_dtype, not_finite
from store.torch_view import as_tensor
from store.write.quantised import quantised, restored, scales_of

BACKENDS = pytest.mark.parametrize("backend", ["zarr", "hdf5"])
LARGEST_HALF = 65504.0

half_tokens = arrays(
    np.float16,
    array_shapes(min_dims=1, max_dims=4, max_side=9),
    elements=st.floats(-LARGEST_HALF, LARGEST_HALF, width=16),
)


def _tokens(seed: int = 0, items: int = 5) -> NDArray[np.float16]:
    drawn = np.random.default_rng(seed).standard_normal((items, 4, 33))  # [items, tokens, width]
    return (drawn * 10.0 ** np.arange(-2, 2)[:, None]).astype(np.float16)


def _feature_set(root: Path, backend: str, dtype: str) -> FeatureSet:
    return FeatureStore(root, backend).feature_set("demo", "e", {"dtype": dtype})


def _plain(features: FeatureSet, video: str, stream: str) -> tuple[NDArray[Any], dict[str, Any]]:
    """A stream and its attributes, as the format's own library shows them."""
    part = features.path / features.part_of(video)
    if part.suffix == ".h5":
        with h5py.File(part) as file:
            return np.asarray(file[stream][:]), dict(file[stream].attrs)
    array = zarr.open_group(part, mode="r")[stream]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:]), dict(array.attrs)


@given(half_tokens)
def test_what_is_quantised_is_read_back_within_half_a_step(features: NDArray[np.float16]) -> None:
    steps = scales_of(features)
    values = quantised(features, steps)
    assert values.min() >= -127
    found = restored(values, steps, np.empty_like(features))
    exact = features.astype(np.float64)
    rounding = np.abs(exact) * 2.0**-11 + 2.0**-25  # of half precision, after the step
    bound = steps.astype(np.float64)[..., None] / 2 * (1 + 1e-6) + rounding
    assert (np.abs(found.astype(np.float64) - exact) <= bound).all()


@given(half_tokens)
def test_the_largest_number_of_a_token_and_zero_are_kept(features: NDArray[np.float16]) -> None:
    steps = scales_of(features)
    found = restored(quantised(features, steps), steps, np.empty_like(features))
    assert (found[features == 0] == 0).all()
    assert np.array_equal(np.abs(found).max(axis=-1), np.abs(features).max(axis=-1))


def test_tokens_of_any_width_are_restored_alike() -> None:
    wide = np.random.default_rng(0).standard_normal((3, 70_000)).astype(np.float16)
    steps = scales_of(wide)
    values = quantised(wide, steps)
    expected = (values.astype(np.float32) * steps[:, None]).astype(np.float16)
    assert np.array_equal(restored(values, steps, np.empty_like(wide)), expected)


@BACKENDS
def test_int8_takes_half_the_disk_and_is_read_as_float16(tmp_path: Path, backend: str) -> None:
    sizes = {}
    tokens = np.random.default_rng(0).standard_normal((8, 16, 1024)).astype(np.float16)
    for dtype in ("float16", "int8"):
        features = _feature_set(tmp_path, backend, dtype)
        with features.writer(chunk_bytes=5000) as writer:
            writer.add("v", {"tokens": tokens}, {"fps": 25})
        sizes[dtype] = features.size_bytes
        assert features.streams == {"tokens": StreamShape((16, 1024), "float16")}
        assert features.read("v", "tokens").dtype == np.float16
        assert verify(features) == []
    assert sizes["int8"] == sizes["float16"] * (1024 + 4) // (2 * 1024)
    found = features.read("v", "tokens").astype(np.float64)
    exact = tokens.astype(np.float64)
    error = np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2))
    assert features.meta("v") == {"fps": 25, "quantisation_error": {"tokens": pytest.approx(error, rel=1e-3)}}
    assert 0.005 < error < 0.01
    assert features.length("v") == 8


@BACKENDS
def test_plain_tools_restore_int8_by_one_multiplication(tmp_path: Path, backend: str) -> None:
    features = _feature_set(tmp_path, backend, "int8")
    with features.writer() as writer:
        writer.add("v", {"tokens": _tokens()})
    values, _ = _plain(features, "v", "tokens")
    steps, _ = _plain(features, "v", "tokens.scale")
    assert (values.dtype, steps.dtype, steps.shape) == (np.int8, np.float32, (5, 4))
    assert np.array_equal((values * steps[..., None]).astype(np.float16), features.read("v", "tokens"))


def test_windows_and_given_arrays_of_int8(tmp_path: Path) -> None:
    features = _feature_set(tmp_path, "zarr", "int8")
    with features.writer(chunk_bytes=300) as writer:
        for seed in range(4):
            tokens = _tokens(seed)
            tokens.flags.writeable = False
            writer.add(f"v{seed}", {"tokens": [tokens[:2], tokens[2:]]})
    whole = features.read("v2", "tokens")
    batch = np.zeros((2, 2, 4, 33), np.float16)
    assert features.read("v2", "tokens", 1, 3, out=batch[1]).base is batch
    assert np.array_equal(batch[1], whole[1:3]) and not batch[0].any()
    assert features.read("v2", "tokens", 2, 2).shape == (0, 4, 33)
    with pytest.raises(InvalidRange, match="float16"):
        features.read("v2", "tokens", 1, 3, out=np.zeros((2, 4, 33), np.int8))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1, np.nan]], np.float16), "NaN or infinite"),
        (np.array([[1, np.inf]], np.float16), "NaN or infinite"),
        (np.ones((2, 3), np.float32), "must be float16"),
        (np.ones(3, np.float16), "must be float16"),
    ],
)
def test_what_cannot_be_quantised_is_refused(tmp_path: Path, array: NDArray[Any], message: str) -> None:
    features = _feature_set(tmp_path, "zarr", "int8")
    with features.writer() as writer, pytest.raises(InvalidFeatures, match=f"'bad'.*{message}"):
        writer.add("bad", {"x": array})
    assert features.videos() == []


def test_lost_scales_are_found(tmp_path: Path) -> None:
    features = _feature_set(tmp_path, "zarr", "int8")
    with features.writer() as writer:
        writer.add("v", {"x": _tokens()})
    (file,) = features.path.glob("parts-*/part-*/x.scale/c.*")
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)
    (damage,) = verify(features)
    assert (damage.video, damage.stream) == ("v", "x.scale")


@BACKENDS
def test_bfloat16_is_stored_bit_for_bit_and_plain_tools_see_its_bits(tmp_path: Path, backend: str) -> None:
    tokens = torch.randn(5, 4, 33, generator=torch.Generator().manual_seed(0)).bfloat16() * 1e30
    array = storable(tokens, "bfloat16", "e")
    features = _feature_set(tmp_path, backend, "bfloat16")
    with features.writer(chunk_bytes=500) as writer:
        writer.add("v", {"tokens": array})
    assert features.streams == {"tokens": StreamShape((4, 33), "bfloat16")}
    found = features.read("v", "tokens")
    assert found.dtype == ml_dtypes.bfloat16
    assert torch.equal(as_tensor(found), tokens)
    assert verify(features) == []
    bits, attributes = _plain(features, "v", "tokens")
    assert bits.dtype == np.uint16 and attributes == {"dtype": "bfloat16"}
    assert np.array_equal((bits.astype(np.uint32) << 16).view(np.float32), tokens.float().numpy())


def test_every_bfloat16_is_told_finite_or_not() -> None:
    every = np.arange(1 << 16, dtype="<u2").view(ml_dtypes.bfloat16)
    each = [not_finite(every[at : at + 1]) for at in range(len(every))]
    assert np.array_equal(each, ~np.isfinite(every.astype(np.float32)))
    assert not_finite(every) == sum(each)


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
def test_encoders_give_any_dtype_and_training_gets_it(dtype: str) -> None:
    features = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    array = storable(features, dtype, "e")
    assert array.dtype == array_dtype(dtype)
    assert torch.equal(as_tensor(array), features.to(getattr(torch, dtype)))


def test_an_encoder_that_is_set_to_int8_fills_a_quantised_set_of_its_own(
    tmp_path: Path, encoder: Callable[..., EncoderSettings]
) -> None:
    tiny = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    sets, tokens = {}, {}
    for dtype in ("float16", "int8"):
        settings = encoder(kind="clip", weights="random:0", architecture=tiny, dtype=dtype, input_size=28)
        clip = ClipEncoder(settings)
        (encoded,) = clip.encode(random_chunks(clip, 1))
        assert encoded["tokens"].dtype == np.float16
        sets[dtype] = FeatureStore(tmp_path).feature_set("demo", "clip", clip.specification())
        with sets[dtype].writer() as writer:
            writer.add("v", encoded)
        tokens[dtype] = sets[dtype].read("v", "tokens").astype(np.float32)
    assert sets["float16"].key != sets["int8"].key
    error = np.linalg.norm(tokens["int8"] - tokens["float16"]) / np.linalg.norm(tokens["float16"])
    assert sets["int8"].meta("v")["quantisation_error"]["tokens"] == pytest.approx(error, rel=1e-3)
    assert 0 < error < 0.01


def test_int8_is_for_tokens_of_one_scale(encoder: Callable[..., EncoderSettings]) -> None:
    assert encoder(kind="clip", dtype="int8").array_dtype == "float16"
    assert encoder(kind="clip", dtype="bfloat16").array_dtype == "bfloat16"
    with pytest.raises(ValueError, match="dtype = int8 gives all numbers of a token one scale"):
        encoder(kind="nss", dtype="int8")


@pytest.fixture
def encoder() -> Callable[..., EncoderSettings]:
    return lambda **entries: EncoderSettings(name="e", **entries)
