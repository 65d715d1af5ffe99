"""VIDEVAL's numbers of a luma plane, against those of the published program."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.encoders.videval.filters import (
    difference_of_gaussians,
    laplacian,
    local_deviation,
    neighbour_product,
    normalised,
    sobel,
)
from extract.encoders.videval.fits import asymmetric_fit, kurtosis, skewness, symmetric_fit
from extract.encoders.videval.resize import imresize

Plane = NDArray[np.float64]
Golden = dict[str, NDArray[np.float64]]

PICTURES = ("synth_160x120", "5115335471_160x120", "video-1621367634_160x120", "video-1621367634_320x180")
SHIFTS = ((0, 1), (1, 0), (1, 1), (-1, 1))
ROOT_OF_NOISE = 1e-6
"""Where a picture is flat, a sigma map is the square root of rounding noise."""


@pytest.fixture(scope="module", params=PICTURES)
def golden(request: pytest.FixtureRequest, shared_data: Path) -> Golden:
    with np.load(shared_data / "reference" / "videval" / f"gold_{request.param}.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def luma(golden: Golden) -> Plane:
    width, height = golden["wh"].astype(int)
    frames = golden["raw_yuv420_3frames"].reshape(3, -1)
    return frames[1, : width * height].reshape(height, width).astype(np.float64)


def agree(golden: Golden, name: str, numbers: object, part: slice = slice(None), close: float = 1e-9) -> None:
    """Relatively to `close`; where the reference itself moves with its rounding, to half of that."""
    expected, unseparated = (golden[key][part] for key in (name, f"nofilt2sep_{name}"))
    limits = np.maximum(close, np.abs(unseparated / expected - 1) / 2)
    difference = np.abs(np.asarray(numbers) / expected - 1)
    assert (difference <= limits).all(), (name, difference)


@pytest.mark.parametrize("scale", [1, 2])
def test_coefficients_and_their_products_have_the_references_distributions(
    golden: Golden, luma: Plane, scale: int
) -> None:
    coefficients, deviation = normalised(luma if scale == 1 else imresize(luma, 0.5))
    products = [neighbour_product(coefficients, down, right) for down, right in SHIFTS]
    fitted = [(fit.shape, fit.mean, fit.left**2, fit.right**2) for fit in map(asymmetric_fit, products)]
    agree(golden, f"np_luma_s{scale}", np.ravel(fitted), slice(16))
    moments = [(skewness(product), kurtosis(product)) for product in products]
    agree(golden, f"np_luma_s{scale}", np.ravel(moments), slice(16, 24))
    moments_of_deviation = [kurtosis(deviation), skewness(deviation), deviation.mean()]
    agree(golden, f"sm_luma_s{scale}", moments_of_deviation, close=ROOT_OF_NOISE)
    fit = symmetric_fit(coefficients)
    numbers = [fit.shape, fit.deviation, kurtosis(coefficients), skewness(coefficients)]
    agree(golden, f"dn_luma_s{scale}", numbers)


def test_bands_have_the_references_distributions(golden: Golden, luma: Plane) -> None:
    coefficients, deviation = normalised(difference_of_gaussians(local_deviation(luma)))
    spread = normalised(deviation)[0]
    moments = [moment(plane) for plane in (coefficients, spread) for moment in (skewness, kurtosis)]
    agree(golden, "dog_luma", [*symmetric_fit(coefficients), *moments], close=ROOT_OF_NOISE)
    band = laplacian(luma)
    agree(golden, "lap_luma", [*symmetric_fit(band), skewness(band), kurtosis(band)])


def test_maps_equal_the_references(shared_data: Path) -> None:
    with np.load(shared_data / "reference" / "videval" / "gold_synth_160x120.npz") as golden:
        luma = golden["map_yuv444"][..., 0]
        np.testing.assert_allclose(laplacian(luma), golden["map_lap"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(local_deviation(luma), golden["map_sigma"], rtol=0, atol=1e-10)
        np.testing.assert_array_equal(np.hypot(*sobel(luma, "nearest")), golden["map_gmag"])
