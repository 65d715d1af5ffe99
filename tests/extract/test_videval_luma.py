"""VIDEVAL's numbers of a luma plane, against those of the published program."""

from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from extract.encoders.videval import bands
from extract.encoders.videval.filters import (
    difference_of_gaussians,
    gradient_magnitude,
    laplacian,
    local_deviation,
    neighbour_product,
    normalised,
)
from extract.encoders.videval.fits import asymmetric_fit, centred_fit, kurtosis, skewness, symmetric_fit
from extract.encoders.videval.gmlog import gm_log
from extract.encoders.videval.higrade import difference, mixed_difference, saddle
from extract.encoders.videval.luma import luma_features
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
    limits = np.maximum(close * np.abs(expected), np.abs(unseparated - expected) / 2)
    distance = np.abs(np.asarray(numbers) - expected)
    assert (distance <= limits).all(), (name, distance / limits)


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
        gradient = gradient_magnitude(luma, "nearest")
        np.testing.assert_allclose(gradient, golden["map_gmag"], rtol=1e-15, atol=0)


def test_the_31_numbers_equal_the_references(golden: Golden, luma: Plane) -> None:
    features = luma_features(luma)
    agree(golden, "brisque", features[:4])
    agree(golden, "gmlog", features[4:12])
    agree(golden, "higrade", features[12:20])
    agree(golden, "friquee_luma", features[20:], close=ROOT_OF_NOISE)


def test_a_real_frame_has_the_references_numbers(shared_data: Path) -> None:
    video = "video-1621367634"
    with np.load(shared_data / "reference" / "videval" / "videos_rows.npz") as rows:
        expected = rows[f"{video}|light480_3fps|static43_fc47scale2"][0, :31]
    with av.open(str(shared_data / "videos" / f"{video}.mp4")) as container:
        (frame,) = islice(container.decode(video=0), 1, 2)
    luma = frame.to_ndarray(format="yuv420p")[: frame.height].astype(np.float64)
    features = luma_features(imresize(luma, 480 / frame.height))
    difference = np.abs(features / expected - 1)
    noise = [0, 1, 21]  # these count the signs of products in flat parts
    assert difference[noise].max() < 1e-3
    assert np.delete(difference, noise).max() < 1e-8


def test_all_numbers_of_brisque_equal_the_references(golden: Golden, luma: Plane) -> None:
    numbers: list[float] = []
    for plane in (luma, imresize(luma, 0.5)):
        coefficients = normalised(plane)[0]
        fit = symmetric_fit(coefficients)
        numbers += [fit.shape, fit.deviation**2]
        for down, right in SHIFTS:
            sides = asymmetric_fit(neighbour_product(coefficients, down, right))
            numbers += [sides.shape, sides.mean, sides.left**2, sides.right**2]
    agree(golden, "brisque36", numbers)


def test_all_numbers_of_gm_log_equal_the_references(golden: Golden, luma: Plane) -> None:
    agree(golden, "gmlog40", gm_log(luma))


def test_all_numbers_of_higrade_equal_the_references(golden: Golden, luma: Plane) -> None:
    gradient = gradient_magnitude(luma, "nearest")
    numbers: list[float] = []
    for plane in (gradient, imresize(gradient, 0.5)):
        coefficients = normalised(plane)[0]
        numbers += centred_fit(coefficients)[::-1]
        for values in (coefficients, np.log(np.abs(coefficients) + 0.1)):
            maps = [difference(values, down, right) for down, right in SHIFTS]
            for combined in (*maps, mixed_difference(values), saddle(values)):
                numbers += centred_fit(combined)[::-1]
    agree(golden, "higrade_all", numbers)


# Numbers that in a flat picture are rounding noise alone.
NOISE = [0, 1, 2, 3, 21, 23, 29, 30]


@pytest.mark.parametrize(("name", "value"), [("black", 0.0), ("flat", 100.0)])
def test_a_picture_without_detail_gives_the_references_numbers(
    shared_data: Path, name: str, value: float
) -> None:
    families = ("brisque", "gmlog", "higrade", "fl")
    with np.load(shared_data / "reference" / "videval" / "gold_formula.npz") as golden:
        expected = np.concatenate([golden[f"{name}_{family}"] for family in families])
    features = luma_features(np.full((64, 96), value))
    if name == "flat":
        assert np.isfinite(features).all()
        features, expected = np.delete(features, NOISE), np.delete(expected, NOISE)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (4, 4), (5, 3), (8, 8)])
@pytest.mark.parametrize("contrast", [0, 100])
def test_tiny_pictures_have_numbers_where_there_is_anything_to_count(
    size: tuple[int, int], contrast: int
) -> None:
    luma = np.random.default_rng(5).uniform(100 - contrast, 100 + contrast, size)
    features = luma_features(luma)
    assert features.shape == (31,)
    assert not np.isinf(features).any()
    if size == (8, 8) and contrast:
        assert np.isfinite(features).all()


@pytest.mark.parametrize("pixels", [1, 200, 1100])
def test_numbers_do_not_depend_on_the_bands(monkeypatch: pytest.MonkeyPatch, pixels: int) -> None:
    luma = np.random.default_rng(7).uniform(0, 255, (61, 47))
    planes = (*normalised(luma), difference_of_gaussians(luma), gradient_magnitude(luma, "nearest"))
    counts = gm_log(luma)
    monkeypatch.setattr(bands, "_BAND_PIXELS", pixels)
    again = (*normalised(luma), difference_of_gaussians(luma), gradient_magnitude(luma, "nearest"))
    for plane, expected in zip(again, planes, strict=True):
        np.testing.assert_array_equal(plane, expected)
    np.testing.assert_array_equal(gm_log(luma), counts)
