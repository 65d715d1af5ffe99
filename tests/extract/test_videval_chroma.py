"""Statistics of colour as the original programs compute them, and the colour maps they are taken from."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from videval_goldens import CLIPS, golden

from extract.encoders.videval.chroma import NAMES, chroma_features
from extract.encoders.videval.colour import chroma_and_short_wave

# Where a picture is flat, these count the signs of rounding noise, which follows the order of every sum;
# how far they are from the original under another order is in the reference's README, 6.2.
NOISE = dict.fromkeys(("fc4", "fc7", "fc15"), 0.05)
# Roots of rounding noise in flat places.
ROOTS = dict.fromkeys(("fc26", "fc60", "fc62", "fc72", "fc73", "lms52"), 1e-7)

D50 = [
    [0.4360747, 0.3850649, 0.1430804],
    [0.2225045, 0.7168786, 0.0606169],
    [0.0139322, 0.0971045, 0.7141733],
]
"""Linear RGB to XYZ under the light that ICC profiles are made for."""


@pytest.mark.parametrize("clip", CLIPS)
def test_chroma_features_are_those_of_the_original(shared_data: Path, clip: str) -> None:
    reference = golden(shared_data, clip)
    expected = [*reference.numbers["friquee_chroma"], float(reference.numbers["friquee_lms"])]
    expected[NAMES.index("fc47")] = float(reference.numbers["fc47_as_published"])
    found = chroma_features(*reference.frames[1])
    flat = clip != "synth_160x120"
    for name, value, target in zip(NAMES, found, expected, strict=True):
        bound = (NOISE | ROOTS).get(name, 1e-9) if flat else 1e-10
        assert_allclose(value, target, rtol=bound, err_msg=name)


@pytest.mark.parametrize("clip", ["synth_160x120", "5115335471_160x120"])
def test_chroma_map_is_that_of_the_original(shared_data: Path, clip: str) -> None:
    reference = golden(shared_data, clip)
    found, _ = chroma_and_short_wave(*reference.frames[1])
    _, a, b = reference.numbers["map_lab_uint8"].astype(np.float64).transpose(2, 0, 1)
    assert_array_equal(found, np.sqrt(a * a + b * b))


def test_response_of_the_cones_is_that_of_the_original(shared_data: Path) -> None:
    reference = golden(shared_data, "synth_160x120")
    _, found = chroma_and_short_wave(*reference.frames[1])
    assert_allclose(found, reference.numbers["map_lmsS"], rtol=0, atol=1e-14)


def test_a_flat_picture_has_the_statistics_of_its_edges(shared_data: Path) -> None:
    formula = np.load(shared_data / "reference" / "videval" / "gold_formula.npz")
    luma, grey = np.full((64, 96), 100.0), np.full((64, 96), 128.0)
    found = dict(zip(NAMES, chroma_features(luma, grey, grey), strict=True))
    # There are no negative products but those of rounding noise, if any.
    assert not found.pop("fc15") > 1e-20
    # The original's fc47 is that of the frame halved, fc79 that of rounding noise alone.
    compared = {name: value for name, value in found.items() if name not in ("fc47", "fc79")}
    places = [NAMES.index(name) for name in compared]
    expected = np.append(formula["flat_fc"], formula["flat_lms"])
    for place, (name, value) in zip(places, compared.items(), strict=True):
        assert_allclose(value, expected[place], rtol=(NOISE | ROOTS).get(name, 1e-9), err_msg=name)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (20, 20), (64, 97)])
@pytest.mark.parametrize("level", [0.0, 128.0, 255.0])
def test_flat_pictures_of_any_size_have_features(size: tuple[int, int], level: float) -> None:
    plane = np.full(size, level)
    found = dict(zip(NAMES, chroma_features(plane, plane, plane), strict=True))
    assert np.isfinite([found["fc4"], found["fc7"], found["fc62"], found["fc72"], found["lms52"]]).all()


@pytest.mark.parametrize("size", [(10, 9), (5, 40), (64, 97)])
def test_noise_of_any_size_has_features(size: tuple[int, int]) -> None:
    frames = np.random.default_rng(5).integers(0, 256, (3, *size)).astype(np.float64)
    assert np.isfinite(chroma_features(*frames)).all()


def test_colours_are_converted_as_by_the_formulas() -> None:
    levels = np.arange(0, 256, 5, dtype=np.float64)
    y, u, v = (part.reshape(len(levels), -1) for part in np.meshgrid(levels, levels, levels))
    found, _ = chroma_and_short_wave(y, u, v)
    # ITU-R BT.601; the original's matrix has three decimals.
    luma, blue, red = 255 / 219 * (y - 16), 255 / 224 * (u - 128), 255 / 224 * (v - 128)
    exact = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
    rgb = np.clip(exact, 0, 255)
    same = (np.abs(rgb % 1 - 0.5) > 0.01).all(axis=0)
    assert same.mean() > 0.9
    rgb = np.rint(rgb[:, same]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = np.array(D50) @ linear / np.array([[0.9642], [1], [0.8249]])
    x, y, z = (np.where(t > (6 / 29) ** 3, np.cbrt(t), 841 / 108 * t + 4 / 29) for t in (x, y, z))
    a, b = np.rint(500 * (x - y)) + 128, np.rint(200 * (y - z)) + 128
    assert_array_equal(found[same], np.sqrt(a * a + b * b))
