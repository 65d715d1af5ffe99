"""Coverage and reliability of predicted standard deviations, against errors of known size."""

import numpy as np
import pytest

from evaluate.metrics.calibration import calibration_of


def errors(width: float, videos: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal errors with deviations of 5, predicted as `width` times that."""
    generator = np.random.default_rng(0)
    scores = generator.uniform(0, 100, videos)
    return scores + generator.normal(0, 5, videos), scores, np.full(videos, 5 * width)


def test_standard_deviations_as_large_as_the_errors_hold_what_they_should() -> None:
    found = calibration_of(*errors(1.0))
    assert found is not None and found.videos == 20_000
    assert found.coverage == pytest.approx({"50": 0.5, "80": 0.8, "95": 0.95}, abs=0.01)
    assert len(found.curve) == 19 and found.error < 0.01
    assert all(abs(should - does) < 0.01 for should, does in found.curve)


@pytest.mark.parametrize(("width", "half"), [(0.5, 0.264), (2.0, 0.823)])
def test_too_small_ones_hold_too_few_and_too_large_ones_too_many(width: float, half: float) -> None:
    """Of normal errors, 2Φ(0.674 · width) − 1 lie within the interval for a half."""
    found = calibration_of(*errors(width))
    assert found is not None and found.coverage["50"] == pytest.approx(half, abs=0.01)
    assert found.error > 0.1


def test_videos_without_a_deviation_do_not_count() -> None:
    found = calibration_of([1.0, 2.0, None, 4.0], [1.0, None, 3.0, 4.0], [1.0, 1.0, 1.0, 0.0])
    assert found is not None and found.videos == 1
    assert calibration_of([1.0], [1.0], [None]) is None
    with pytest.raises(ValueError):
        calibration_of([1.0, 2.0], [1.0], [1.0])
