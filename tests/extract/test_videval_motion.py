"""Motion, contrast and sharpness as the original programs compute them, and numbers for whatever is shown."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from videval_goldens import CLIPS, Golden, Plane, golden

from extract.encoders.videval.colour import lab
from extract.encoders.videval.high import high_features, sharpness
from extract.encoders.videval.keypoints import key_points
from extract.encoders.videval.matching import matches
from extract.encoders.videval.motion import motion_features, prepared


@pytest.fixture(params=CLIPS)
def clip(request: pytest.FixtureRequest, shared_data: Path) -> Golden:
    return golden(shared_data, request.param)


def test_motion_features_are_those_of_the_original(clip: Golden) -> None:
    before, now, after = (prepared(y) for y, _, _ in clip.frames)
    assert_allclose(motion_features(before, now, after), clip.numbers["tlvqm_lcf"], rtol=1e-12)


def test_key_points_and_their_motion_are_those_of_the_original(clip: Golden) -> None:
    before, now, after = (prepared(y) for y, _, _ in clip.frames)
    reach = now.width // 40
    points = key_points(now.luma, reach)
    assert_array_equal(np.stack(points[::-1], axis=1) + 1, clip.numbers["lcf_key_pix"])
    inner = np.zeros_like(now.gradients.slopes)
    inner[:, 4:-4, 4:-4] = now.gradients.slopes[:, 4:-4, 4:-4]
    backward, forward = matches(before.gradients, inner, after.gradients, points, reach)
    vectors = [-backward.down, -backward.right, forward.down, forward.right]
    expected = clip.numbers["lcf_motion_vec"]  # [N, 10]
    assert_array_equal(np.stack(vectors, axis=1), expected[:, :4])
    costs = [backward.still_cost, backward.cost, forward.still_cost, forward.cost]
    assert_allclose(np.stack(costs, axis=1), expected[:, 6:], rtol=1e-12, atol=1e-15)


def test_high_features_are_those_of_the_original(clip: Golden) -> None:
    assert_allclose(high_features(*clip.frames[1]), clip.numbers["tlvqm_hcf"], rtol=1e-11)


def test_lab_is_that_of_the_original(shared_data: Path) -> None:
    clip = golden(shared_data, "synth_160x120")
    expected = clip.numbers["map_lab_double"].transpose(2, 0, 1)
    assert_allclose(lab(*clip.frames[1]), expected, rtol=0, atol=1e-10)


def test_sharpness_of_a_formula(shared_data: Path) -> None:
    numbers = np.load(shared_data / "reference/videval/gold_formula.npz")
    x, y = np.arange(1300)[None], np.arange(100)[:, None]
    picture = 0.05 + 0.04 * np.sin(0.3 * x + 0.001 * y**2) * (((x // 32 + y // 32) % 2) + 0.2)
    assert_allclose(sharpness(picture), numbers["sharp_wide"], rtol=1e-12)
    assert_allclose(sharpness(picture[:, :400]), numbers["sharp_400"], rtol=1e-12)


def test_blocks_of_sharpness_begin_25_pixels_before_the_end_or_earlier() -> None:
    noise = np.random.default_rng(1).random((48, 48))
    changed = noise.copy()
    changed[31:, 31:] = 0
    assert sharpness(noise[:47, :47]) == sharpness(changed[:47, :47])
    assert sharpness(noise) != sharpness(changed)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (20, 20), (30, 50), (64, 96), (49, 49)])
@pytest.mark.parametrize("level", [0.0, 16.0, 100.0, 255.0])
def test_flat_pictures_have_neither_motion_nor_contrast(size: tuple[int, int], level: float) -> None:
    luma, grey = np.full(size, level), np.full(size, 128.0)
    flat = prepared(luma)
    # A fourth root makes 1e-4 of a deviation of 1e-16.
    assert_allclose(motion_features(flat, flat, flat), [0, 0, 0, 0, 0, 0.5, 0], atol=1e-3)
    assert_allclose(high_features(luma, grey, grey), np.zeros(6), atol=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (20, 20), (30, 50), (64, 96), (49, 90)])
def test_noise_of_any_size_has_numbers(size: tuple[int, int]) -> None:
    frames = np.random.default_rng(5).integers(0, 256, (3, *size)).astype(np.float64)
    assert np.isfinite(motion_features(*(prepared(frame) for frame in frames))).all()
    assert np.isfinite(high_features(*frames)).all()


def test_a_sliding_surface_is_followed_down_and_right() -> None:
    surface = _surface(200, 300)
    frames = [prepared(surface[40 - 4 * i : 160 - 4 * i, 60 - 6 * i : 260 - 6 * i]) for i in range(3)]
    amount, unlike, _, jerks, _, downward, _ = motion_features(*frames)
    # Half as many pixels in the half-size picture, out of a search range of 200 // 40.
    points = key_points(frames[1].luma, 5)[0]
    strength = np.hypot(2, 3) / 5 / np.sqrt(2)
    assert_allclose(amount**4, len(points) * strength / (100 / 5 * 60 / 5), rtol=1e-9)
    assert_allclose([unlike, jerks, downward], [0, 0, 0.5 * 2 / 5 + 0.5], atol=1e-9)


def _surface(height: int, width: int) -> Plane:
    """[height, width] of squares, each of a level of its own."""
    random = np.random.default_rng(2)
    blobs = random.integers(0, 256, (height // 10, width // 10))
    return np.kron(blobs, np.ones((10, 10)))
