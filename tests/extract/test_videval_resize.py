"""Resizing as MATLAB's imresize does it, against its own numbers."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.encoders.videval.resize import imresize

Plane = NDArray[np.float64]


@pytest.fixture(scope="module")
def reference(shared_data: Path) -> Path:
    return shared_data / "reference" / "videval"


@pytest.mark.parametrize(
    ("name", "ratio", "corner"),
    [
        ("imresize_half", 0.5, 16),
        ("imresize_0p4444", 480 / 1080, 16),
        ("imresize_0p6667", 720 / 1080, 16),
        ("imresize_2", 2.0, 8),
    ],
)
def test_a_ramp_is_resized_as_the_reference_does(
    reference: Path, name: str, ratio: float, corner: int
) -> None:
    golden = np.load(reference / "gold_formula.npz")
    ramp: Plane = golden["imresize_ramp_in"].astype(np.float64)[:corner, :corner]
    np.testing.assert_allclose(imresize(ramp, ratio), golden[name], rtol=1e-14, atol=1e-12)


def test_a_picture_is_resized_as_the_reference_does(reference: Path) -> None:
    golden = np.load(reference / "gold_synth_160x120.npz")
    yuv: Plane = golden["map_yuv444"]
    middle = golden["raw_yuv420_3frames"].reshape(3, -1)[1].astype(np.float64)
    chroma = middle[120 * 160 :].reshape(2, 60, 80)
    for plane, expected in zip(chroma, (yuv[..., 1], yuv[..., 2]), strict=True):
        np.testing.assert_allclose(imresize(plane, 2.0), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(imresize(yuv[..., 0], 0.5), golden["map_half"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(imresize(yuv[..., 0], 8 / 9), golden["map_ratio_8_9"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "ratio"), [((1, 1), 0.5), ((1, 7), 0.3), ((3, 2), 2.0), ((5, 9), 480 / 2160), ((61, 33), 8 / 9)]
)
def test_a_flat_picture_of_any_size_stays_flat(size: tuple[int, int], ratio: float) -> None:
    resized = imresize(np.full(size, 93.0), ratio)
    assert resized.shape == tuple(int(np.ceil(ratio * side)) for side in size)
    np.testing.assert_allclose(resized, 93.0, rtol=1e-14)


def test_two_ratios_in_one_step_equal_two_steps() -> None:
    plane = np.random.default_rng(1).uniform(0, 255, (27, 48))
    two_steps = imresize(imresize(plane, 2.0), 8 / 9)
    np.testing.assert_allclose(imresize(plane, 2.0, 8 / 9), two_steps, rtol=0, atol=1e-11)
