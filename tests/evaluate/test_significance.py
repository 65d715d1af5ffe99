"""Tests of differences between models: against printed figures, by simulation, and as two models swap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from evaluate.metrics.significance import compare_pairs, holm, williams_test

Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


def two_models(videos: int, first: float, second: float, seed: int) -> Sample:
    """Opinion scores and two models' scores, normal, correlated with them by so much."""
    mos, one, other = np.random.default_rng(seed).normal(size=(3, videos))
    return mos, first * mos + np.sqrt(1 - first**2) * one, second * mos + np.sqrt(1 - second**2) * other


@pytest.mark.parametrize(
    ("first", "second", "between", "videos", "t", "p"),
    [
        (0.8066, 0.2383, 0.2255, 177, 9.3823, 0.0),
        (0.5447, 0.8, 0.0729, 70, -2.8114, 0.0065),
        (-0.1741, 0.2015, 0.3734, 646, -9.0340, 0.0),
        (0.4, 0.5, 0.1, 103, -0.89, 0.37),
    ],
)
def test_williams_test_gives_the_figures_that_r_prints(
    first: float, second: float, between: float, videos: int, t: float, p: float
) -> None:
    """Three outputs of cocor (Diedenhofen and Musch, PLOS ONE 2015), the last of psych's r.test.

    They print correlations with four digits.
    """
    found = williams_test(first, second, between, videos)
    assert found is not None and found.df == videos - 3
    assert found.t == pytest.approx(t, abs=2e-3)
    assert found.p == pytest.approx(p, abs=6e-3)


def test_williams_test_by_hand() -> None:
    """r1 = 0.6, r2 = 0.3, r12 = 0.5, n = 43: |R| = 1 - 0.36 - 0.09 - 0.25 + 0.18 = 0.48; the mean is 0.45.

    t = 0.3 √(42 · 1.5 / (2 · 0.48 · 42/40 + 0.2025 · 0.125)) = 0.3 √(63 / 1.0333125).
    """
    found = williams_test(0.6, 0.3, 0.5, 43)
    assert found is not None and found.t == pytest.approx(0.3 * (63 / 1.0333125) ** 0.5)


def test_opposite_models_are_the_limit_of_nearly_opposite_ones() -> None:
    limit, near = williams_test(0.4, -0.4, -1.0, 30), williams_test(0.4, -0.4, -1 + 1e-9, 30)
    assert limit is not None and near is not None and limit.t == pytest.approx(near.t, rel=1e-6)
    perfect = williams_test(1.0, -1.0, -1.0, 4)
    assert perfect is not None and (perfect.t, perfect.p) == (np.inf, 0.0)


@pytest.mark.parametrize(("second", "least", "most"), [(0.7, 0.035, 0.066), (0.3, 0.85, 0.94)])
def test_williams_test_rejects_equal_models_once_in_twenty_and_others_often(
    second: float, least: float, most: float
) -> None:
    rejected = 0
    for seed in range(2000):
        correlations = np.corrcoef(two_models(60, 0.7, second, seed))
        found = williams_test(correlations[0, 1], correlations[0, 2], correlations[1, 2], 60)
        assert found is not None
        rejected += found.p < 0.05
    assert least < rejected / 2000 < most


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 40))
def test_swapped_models_turn_the_sign_and_nothing_else(seed: int, videos: int) -> None:
    mos, one, other = two_models(videos, 0.6, 0.4, seed)
    (there,) = compare_pairs(mos, {"one": one, "other": other}, resamples=40)
    (back,) = compare_pairs(mos, {"other": other, "one": one}, resamples=40)
    for figure in ("srcc", "plcc"):
        a, b = getattr(there, figure), getattr(back, figure)
        assert a.value == pytest.approx(-b.value) and a.williams.t == pytest.approx(-b.williams.t)
        assert a.williams.p == pytest.approx(b.williams.p)
        assert a.interval == pytest.approx((-b.interval[1], -b.interval[0]))
    assert there.better == back.better and there.p_adjusted == pytest.approx(back.p_adjusted)


def test_differences_are_those_of_the_correlations() -> None:
    mos, one, other = two_models(300, 0.9, 0.6, 1)
    (pair,) = compare_pairs(mos, {"one": one, "other": other}, resamples=300)
    expected = spearmanr(mos, one).statistic - spearmanr(mos, other).statistic
    assert pair.srcc.value == pytest.approx(expected) and pair.better == "one"
    assert pair.srcc.interval is not None and 0 < pair.srcc.interval[0] < expected < pair.srcc.interval[1]


def test_models_that_say_the_same_do_not_differ() -> None:
    mos, one, _ = two_models(50, 0.8, 0.8, 2)
    (pair,) = compare_pairs(mos, {"one": one, "twice": 2 * one + 1}, resamples=50)
    assert pair.srcc.williams is not None and (pair.srcc.williams.t, pair.srcc.williams.p) == (0.0, 1.0)
    assert pair.srcc.interval == (0.0, 0.0) and pair.better is None


def test_an_undefined_model_is_neither_better_nor_worse() -> None:
    mos, one, other = two_models(50, 0.9, 0.5, 3)
    pairs = compare_pairs(mos, {"one": one, "constant": np.ones(50), "other": other}, resamples=50)
    assert [(pair.first, pair.second) for pair in pairs] == [
        ("one", "constant"),
        ("one", "other"),
        ("constant", "other"),
    ]
    assert [pair.srcc.value is None for pair in pairs] == [True, False, True]
    assert [pair.better for pair in pairs] == [None, "one", None]


def test_contents_that_repeat_make_the_difference_less_certain() -> None:
    """Of 10 contents, each rated 20 times alike, there is hardly more to learn than of 10 videos."""
    mos, one, other = (np.repeat(values, 20) for values in two_models(10, 0.8, 0.6, 4))
    noise = np.random.default_rng(0).normal(0, 0.05, (3, 200))
    mos, one, other = mos + noise[0], one + noise[1], other + noise[2]
    contents = [f"content {i // 20}" for i in range(200)]
    (alone,) = compare_pairs(mos, {"one": one, "other": other})
    (together,) = compare_pairs(mos, {"one": one, "other": other}, contents)
    assert alone.srcc.interval and together.srcc.interval
    width, wider = (high - low for low, high in (alone.srcc.interval, together.srcc.interval))
    assert wider > 2 * width


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8))
def test_adjusted_p_values_are_no_smaller_and_keep_their_order(values: list[float | None]) -> None:
    adjusted = holm(values)
    pairs = [(p, q) for p, q in zip(values, adjusted, strict=True) if p is not None and q is not None]
    assert [p is None for p in values] == [q is None for q in adjusted]
    assert all(p <= q <= 1 for p, q in pairs)
    assert [q for _, q in sorted(pairs)] == sorted(q for _, q in pairs)


def test_holms_adjustment_by_hand() -> None:
    assert holm([0.01, 0.04, None, 0.03]) == pytest.approx([0.03, 0.06, None, 0.06])
