"""Natural-scene statistics: finite on anything, and moved by what they are meant to show."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from seen_chunks import decoded_chunks
from threadpoolctl import threadpool_limits

from config.schema import EncoderSettings
from extract.encoders.nss.encoder import MOTION_FRAMES, NssEncoder
from extract.encoders.nss.statistics import natural_scene_features, normalised
from extract.encoders.nss.temporal import standstill_features
from extract.video.view import Chunk

Luma = NDArray[np.uint8]


@pytest.fixture(scope="module")
def encoder() -> NssEncoder:
    return NssEncoder()


def moving_texture(height: int = 96, width: int = 128, count: int = MOTION_FRAMES) -> Luma:
    """[count, height, width] of a rough surface that slides two pixels a frame."""
    random = np.random.default_rng(3)
    surface = random.standard_normal((height, width + 2 * count))
    surface = 9 * surface + 60 * gaussian_filter(surface, 2) + 400 * gaussian_filter(surface, 12) + 128
    frames = [surface[:, 2 * i : 2 * i + width] for i in range(count)]
    return np.clip(np.rint(frames), 0, 255).astype(np.uint8)


def chunk_of(frames: Luma) -> Chunk:
    return Chunk(0, 0.0, {"key": frames[:2], "row": frames, "spread": frames})


def named(encoder: NssEncoder, frames: Luma) -> dict[str, float]:
    (features,) = encoder.encode([chunk_of(frames)])
    values = np.concatenate([features["spatial"].ravel(), features["temporal"].ravel()])
    return dict(zip(encoder.names["spatial"] + encoder.names["temporal"], values.tolist(), strict=True))


@pytest.mark.parametrize("size", [(16, 16), (1, 1), (2, 300), (65, 64), (270, 480)])
@pytest.mark.parametrize("value", [0, 255])
def test_flat_and_tiny_pictures_give_finite_features(
    encoder: NssEncoder, size: tuple[int, int], value: int
) -> None:
    frames = np.full((MOTION_FRAMES, *size), value, np.uint8)
    (features,) = encoder.encode([chunk_of(frames)])
    for name, stream in encoder.streams.items():
        assert features[name].shape == (1, *stream.shape)
        assert features[name].dtype == np.float32
        assert np.isfinite(features[name]).all(), name


def test_noise_extremes_give_finite_features(encoder: NssEncoder) -> None:
    random = np.random.default_rng(0)
    frames = random.choice(np.array([0, 255], np.uint8), (MOTION_FRAMES, 70, 90))
    assert all(np.isfinite(value) for value in named(encoder, frames).values())


def test_rows_depend_on_their_own_chunk_alone(encoder: NssEncoder) -> None:
    one, other = moving_texture(), moving_texture()[:, ::-1]
    together = encoder.encode([chunk_of(one), chunk_of(other)])
    for frames, features in zip((one, other), together, strict=True):
        (alone,) = encoder.encode([chunk_of(frames)])
        for name in encoder.streams:
            np.testing.assert_array_equal(features[name], alone[name])


def test_blur_softens_edges_and_steepens_the_fall_over_octaves(encoder: NssEncoder) -> None:
    frames = moving_texture()
    steps = [
        named(encoder, np.stack([gaussian_filter(f, sigma) for f in frames])) for sigma in (0, 0.6, 1.0, 1.6)
    ]
    for name in ("edge_1_2", "edge_2_4", "fall1_detailed", "octave0_q0.5"):
        values = [features[name] for features in steps]
        assert values == sorted(values, reverse=True), name
    assert [s["reblur0"] for s in steps] == sorted(s["reblur0"] for s in steps)


def test_noise_raises_the_noise_estimate(encoder: NssEncoder) -> None:
    random = np.random.default_rng(1)
    frames = gaussian_filter(moving_texture().astype(float), (0, 2, 2))
    noisy = [
        np.clip(frames + sigma * random.standard_normal(frames.shape), 0, 255).astype(np.uint8)
        for sigma in (0, 3, 9, 20)
    ]
    values = [named(encoder, f)["noise_q0.2"] for f in noisy]
    assert values == sorted(values)
    assert np.exp(values[-1]) == pytest.approx(20, rel=0.25)


def test_freezes_raise_the_share_of_standstill(encoder: NssEncoder) -> None:
    frames = moving_texture()
    shares = []
    for held in (0, 3, 8, MOTION_FRAMES):
        shown = np.arange(MOTION_FRAMES)
        shown[2 : 2 + held] = 2
        shares.append(named(encoder, frames[shown])["spread_near_share"])
    assert shares == sorted(set(shares))
    assert shares[0] == 0


def test_nearly_repeated_frames_count_as_standstill() -> None:
    moving = np.array([2.0, 2.2, 0.06, 0.04, 0.05, 2.5, 2.1])
    features = standstill_features(moving)
    assert features["near_share"] == pytest.approx(3 / 7)
    assert features["longest_standstill"] == pytest.approx(3 / 7)
    assert features["exact_share"] == 0
    assert standstill_features(np.array([0.4, 0.5, 0.45]))["near_share"] == 0


def test_fitted_shape_tells_gaussian_from_laplacian_coefficients() -> None:
    random = np.random.default_rng(5)
    gaussian = natural_scene_features(random.standard_normal((300, 300)).astype(np.float32), "n")
    laplacian = natural_scene_features(random.laplace(size=(300, 300)).astype(np.float32), "n")
    assert len(gaussian) == 18
    assert np.exp(gaussian["n_shape"]) == pytest.approx(2.0, rel=0.05)
    assert np.exp(laplacian["n_shape"]) == pytest.approx(1.0, rel=0.05)
    assert np.exp(gaussian["n_variance"]) == pytest.approx(1.0, rel=0.05)


def test_normalised_coefficients_of_a_flat_picture_are_zero() -> None:
    coefficients, spread = normalised(np.zeros((20, 20), np.float32))
    assert not coefficients.any() and not spread.any()


def test_real_video_gives_the_same_finite_features_twice(encoder: NssEncoder, shared_data: Path) -> None:
    chunks = decoded_chunks(shared_data / "videos" / "carphone_pristine.mp4", encoder)
    first, second = encoder.encode(chunks), encoder.encode(chunks)
    assert len(first) == 4
    for one, other in zip(first, second, strict=True):
        for name in encoder.streams:
            assert np.isfinite(one[name]).all()
            np.testing.assert_array_equal(one[name], other[name])


def test_compressed_copy_of_a_real_scene_is_told_from_the_pristine_one(
    encoder: NssEncoder, shared_data: Path
) -> None:
    detail = []
    for name in ("carphone_pristine.mp4", "carphone_distorted.mp4"):
        chunks = decoded_chunks(shared_data / "videos" / name, encoder)
        features = np.mean([one["spatial"][0, 0] for one in encoder.encode(chunks)], axis=0)
        detail.append(features[encoder.names["spatial"].index("octave0_q0.5")])
    assert detail[0] > detail[1] + 0.5


@pytest.mark.slow
def test_features_do_not_depend_on_how_many_threads_the_process_has(encoder: NssEncoder) -> None:
    chunks = [chunk_of(moving_texture(540, 960, count=MOTION_FRAMES + number)) for number in range(8)]
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            found.append([features["spatial"] for features in encoder.encode(chunks)])
    np.testing.assert_array_equal(*found)


def test_chunks_come_at_the_rate_of_the_settings() -> None:
    settings = EncoderSettings(name="nss", kind="nss", chunks_per_second=0.5, tail="keep")
    encoder = NssEncoder(settings)
    assert (encoder.view.chunk_seconds, encoder.view.tail) == (2, "keep")
    assert encoder.specification() != NssEncoder().specification()
