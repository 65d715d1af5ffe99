"""From numbers of frames to the 60 features, against those of the original program."""

import numpy as np
import pytest
from numpy.typing import NDArray

from extract.encoders.videval.pooling import (
    FRAME_NAMES,
    NAMES,
    filled,
    nan_deviation,
    nan_mean,
    seconds,
    still_shares,
)

PUBLISHED = "octave as published"
LIGHT = "octave as published (prev=last next, fc47 s1)"


@pytest.fixture(scope="module")
def reference(shared_data):
    return np.load(shared_data / "reference" / "videval" / "videos_rows.npz")


def rows_of(reference, grid: str, motion: str) -> NDArray[np.float64]:
    """[n, 50] of the sampled frames of a grid, with fc47 as it was published."""
    numbers = np.concatenate(
        [reference[f"{grid}|static43_fc47scale2"], reference[f"{grid}|{motion}"]], axis=1
    )
    numbers[:, FRAME_NAMES.index("fc47")] = reference[f"{grid}|fc47_scale1"]
    return numbers


def test_names_are_those_of_the_published_matrices(reference):
    assert list(NAMES) == reference["vector_names"].tolist()
    assert list(FRAME_NAMES) == reference["frame_columns"].tolist()


@pytest.mark.parametrize(
    ("vector", "grid", "motion", "every", "block"),
    [
        (f"_light480_3fps|5115335471|{LIGHT}", "light480_3fps", "lcf_prev_lastnext_3fps", 1, 3),
        (f"_light480_3fps|video-1621367634|{LIGHT}", "light480_3fps", "lcf_prev_lastnext_3fps", 1, 3),
        (f"_light720_6fps|5115335471|{PUBLISHED}", "native_6fps_grid", "lcf_prev_lastnext_6fps", 1, 6),
        (f"_light720_3fps|5115335471|{PUBLISHED}", "native_6fps_grid", "lcf_prev_lastnext_3fps", 2, 3),
        (f"full|video-1621367634|{PUBLISHED}", "native_full", "lcf_prev_im1", 1, 15),
    ],
)
def test_the_mean_over_seconds_is_the_original_s_vector(reference, vector, grid, motion, every, block):
    expected = reference[f"vec60|{vector}"]
    grid = f"{vector.split('|')[1]}|{grid}"
    numbers = rows_of(reference, grid, motion)[::every]
    pooled = seconds(numbers, reference[f"{grid}|hcf"], block)
    assert pooled.shape == (len(reference[f"{grid}|hcf"]), 60)
    np.testing.assert_allclose(pooled.mean(axis=0), expected, rtol=1e-12)


def random_rows(rows: int, high: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(rows)
    return random.random((rows, 50)), random.random((high, 6))


@pytest.mark.parametrize(
    ("rows", "high", "blocks"), [(1, 1, 1), (3, 1, 1), (4, 1, 1), (6, 2, 1), (7, 2, 2), (10, 2, 3), (7, 5, 2)]
)
def test_seconds_are_blocks_that_share_a_row(rows, high, blocks):
    numbers, details = random_rows(rows, high)
    pooled = seconds(numbers, details, block=3)
    assert len(pooled) == max(blocks, high)
    column = FRAME_NAMES.index("hg13")
    for second in range(blocks):
        expected = numbers[3 * second : 3 * second + 4, column].mean()
        assert pooled[second, NAMES.index("m_hg13")] == pytest.approx(expected, rel=1e-14)
    for second in range(high):
        np.testing.assert_array_equal(pooled[second, -6:], details[second])


def test_a_second_has_the_share_of_its_rows_that_stand_still():
    still = np.array([0, 1, 1, 1, 0, 0, 0], np.float64)
    assert still_shares(still, block=3, count=2).tolist() == [[0.75], [0.25]]
    assert still_shares(still, block=3, count=3).tolist() == [[0.75], [0.25], [0.5]]  # as the others
    assert still_shares(still[:3], block=3, count=1)[0, 0] == pytest.approx(2 / 3)


def test_a_second_that_lacks_a_number_has_the_mean_of_the_others():
    numbers, details = random_rows(10, 2)
    numbers[:4, FRAME_NAMES.index("fc15")] = np.nan  # the whole first block, and a row of the second
    pooled = seconds(numbers, details, block=3)
    fc15 = pooled[:, NAMES.index("m_fc15")]
    shown = numbers[:, FRAME_NAMES.index("fc15")]
    np.testing.assert_allclose(fc15[1:], [shown[4:7].mean(), shown[6:].mean()], rtol=1e-14)
    assert fc15[0] == pytest.approx(fc15[1:].mean(), rel=1e-14)
    assert fc15.mean() == pytest.approx(fc15[1:].mean(), rel=1e-14)
    np.testing.assert_allclose(pooled[2, -6:], details.mean(axis=0), rtol=1e-14)


def test_what_no_frame_has_and_what_is_infinite_is_nothing():
    values = np.array([[np.nan, 1.0, np.inf, -np.inf], [np.nan, np.nan, 2.0, np.inf]])
    np.testing.assert_array_equal(filled(values), [[0, 1, 0, 0], [0, 1, 0, 0]])


def test_deviations_pass_over_missing_frames():
    values = np.array([[1.0, 5.0, np.nan], [3.0, np.nan, np.nan], [8.0, np.nan, np.nan]])
    np.testing.assert_allclose(nan_mean(values), [4, 5, np.nan])
    np.testing.assert_allclose(nan_deviation(values), [np.std([1, 3, 8], ddof=1), 0, np.nan])
