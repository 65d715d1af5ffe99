"""A checkpoint that so few validation videos cannot tell from others is said to be chosen by chance."""

import logging
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from training_set import train

from train.loop.validation import chosen_by_chance, srcc_interval


@pytest.mark.parametrize("strength", [0.0, 0.7, 2.0])
def test_the_interval_holds_the_true_correlation_in_95_of_100_samples(strength: float) -> None:
    """Of a sample of 40 from a normal pair; the truth from a sample of 200,000."""
    random = np.random.default_rng(0)

    def srcc(n: int) -> float:
        x = random.standard_normal(n)
        return float(spearmanr(x, strength * x + random.standard_normal(n)).statistic)

    true = srcc(200_000)
    intervals = [srcc_interval(srcc(40), 40) for _ in range(1000)]
    held = sum(low <= true <= high for low, high in intervals) / 1000
    assert 0.93 <= held <= 0.97


def test_the_interval_is_known_at_its_ends() -> None:
    assert srcc_interval(0.5, 3) == (-1.0, 1.0)
    low, high = srcc_interval(1.0, 20)
    assert 0.99 < low <= high <= 1.0


def test_a_choice_is_by_chance_only_where_the_interval_holds_several_validations() -> None:
    history = [{"srcc": srcc} for srcc in (0.2, 0.80, 0.84, 0.82)]
    said = chosen_by_chance(history, 42)
    assert said is not None and "0.840" in said and "42 videos" in said and "3 of 4 validations" in said
    assert 'select = "last"' in said
    assert chosen_by_chance(history, 50_000) is None
    assert chosen_by_chance(history[:1], 42) is None


def test_training_warns_of_it_where_it_selects_the_best(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "train.loop.trainer"):
        train(tmp_path, "last", "pipelines.tiny.training.select=last")
        assert not caplog.records
        train(tmp_path, "best", "pipelines.tiny.training.select=best")
    (record,) = caplog.records
    assert "12 videos" in record.message and "the choice among these is by chance" in record.message
