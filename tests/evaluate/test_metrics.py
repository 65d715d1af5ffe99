"""Agreement of scores with opinion scores, against scipy, published figures and closed forms."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from scipy.stats import kendalltau, pearsonr, spearmanr

from evaluate.metrics.correlation import Concordance, Ranking, drawn_pearson, drawn_spearman
from evaluate.metrics.logistic import Logistic, fit_logistic
from evaluate.metrics.outliers import ci95, outlier_ratio
from evaluate.metrics.resampling import draws
from evaluate.metrics.scores import bootstrap_intervals, level_accuracy, logistic_of, score_metrics
from evaluate.metrics.texts import text_figures

LEVELS = ("poor", "fair", "good")


def noisy(n: int = 200, noise: float = 10.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Opinion scores on 0–100, which saturate at both ends of unbounded scores."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(0, 2, n)
    return 100 / (1 + np.exp(-scores)) + generator.normal(0, noise, n), scores


def test_correlations_agree_with_scipy() -> None:
    mos, scores = noisy()
    scores = scores.round(2)  # with ties
    metrics = score_metrics(mos, scores)
    assert metrics.srcc == pytest.approx(spearmanr(mos, scores).statistic)
    assert metrics.krcc == pytest.approx(kendalltau(mos, scores).statistic)
    assert metrics.plcc_raw == pytest.approx(pearsonr(mos, scores).statistic)


def test_logistic_fit_is_that_of_the_usual_way() -> None:
    """As in MinimalisticVQA: scipy's curve_fit from [max y, min y, mean x, 0.5]."""
    mos, scores = noisy(noise=5.0)

    def curve(x: np.ndarray, b1: float, b2: float, b3: float, b4: float) -> np.ndarray:
        return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / abs(b4)))

    usual, _ = curve_fit(curve, scores, mos, p0=[mos.max(), mos.min(), scores.mean(), 0.5], maxfev=10000)
    fitted = fit_logistic(scores, mos)
    assert fitted is not None
    np.testing.assert_allclose(fitted(scores), curve(scores, *usual), atol=1e-3)
    metrics = score_metrics(mos, scores)
    assert metrics.plcc == pytest.approx(pearsonr(curve(scores, *usual), mos).statistic, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_units_of_the_scores_do_not_matter(seed: int, unit: float, shift: float) -> None:
    mos, scores = noisy(60, seed=seed)
    one, other = score_metrics(mos, scores), score_metrics(mos, unit * scores + shift)
    for name in ("srcc", "plcc_raw", "plcc", "krcc", "rmse", "r2"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-3), name


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(-1e6, 1e6)), min_size=0, max_size=12),
)
def test_any_finite_scores_get_bounded_figures_or_a_reason(pairs: list[tuple[float, float]]) -> None:
    metrics = score_metrics([mos for mos, _ in pairs], [score for _, score in pairs])
    assert metrics.n == len(pairs)
    if metrics.srcc is None:
        assert metrics.note and metrics.plcc is None and metrics.rmse is None
        return
    for value in (metrics.srcc, metrics.plcc_raw, metrics.plcc, metrics.krcc):
        assert value is not None and -1 <= value <= 1
    assert metrics.rmse is not None and metrics.rmse >= 0


def test_mapped_scores_are_never_further_from_mos_than_a_line() -> None:
    mos, scores = noisy()
    metrics = score_metrics(mos, scores)
    line = np.polyval(np.polyfit(scores, mos, 1), scores)
    assert metrics.rmse is not None and metrics.rmse < np.sqrt(np.mean((line - mos) ** 2))
    assert metrics.plcc is not None and metrics.plcc_raw is not None and metrics.plcc > metrics.plcc_raw


def test_scores_on_0_to_100_do_not_end_in_a_step() -> None:
    generator = np.random.default_rng(1)
    mos = generator.uniform(0, 100, 300)
    metrics = score_metrics(mos, mos + generator.normal(0, 5, 300))
    assert metrics.plcc is not None and metrics.plcc_raw is not None
    assert metrics.plcc >= metrics.plcc_raw - 1e-3 and metrics.note is None


def test_upside_down_scores_show_in_rank_and_raw_correlation() -> None:
    mos, scores = noisy()
    metrics = score_metrics(mos, -scores)
    assert metrics.srcc is not None and metrics.srcc < -0.9
    assert metrics.plcc_raw is not None and metrics.plcc_raw < -0.9


@pytest.mark.parametrize(
    ("mos", "scores", "reason"),
    [
        ([1, 2, 3], [5, 5, 5], "all scores are equal"),
        ([2, 2, 2], [1, 2, 3], "all opinion scores are equal"),
        ([1, 2, 3], [1, float("nan"), 3], "1 of 3 scores are not finite"),
        ([1], [1], "needs at least two videos"),
        ([], [], "needs at least two videos"),
    ],
)
def test_undefined_figures_say_why(mos: list[float], scores: list[float], reason: str) -> None:
    metrics = score_metrics(mos, scores)
    assert reason in (metrics.note or "")
    assert (metrics.srcc, metrics.plcc, metrics.krcc, metrics.rmse) == (None, None, None, None)
    assert bootstrap_intervals(mos, scores).srcc is None
    assert logistic_of(mos, scores) is None


def test_too_few_videos_for_the_logistic_fall_back_to_a_line_and_say_so() -> None:
    metrics = score_metrics([1, 2, 3, 5], [10, 20, 30, 40])
    assert metrics.plcc == metrics.plcc_raw and "did not converge" in (metrics.note or "")


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="as many scores"):
        score_metrics([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="finite"):
        score_metrics([1, float("nan")], [1, 2])


def test_intervals_are_seeded_hold_the_figure_and_shrink_with_videos() -> None:
    mos, scores = noisy(400, noise=30)
    few, many = (bootstrap_intervals(mos[:n], scores[:n], resamples=400) for n in (50, 400))
    assert many == bootstrap_intervals(mos[::-1], scores[::-1], resamples=400)
    assert many != bootstrap_intervals(mos, scores, resamples=400, seed=1)
    metrics = score_metrics(mos, scores)
    assert few.srcc and many.srcc and many.plcc and metrics.srcc and metrics.plcc
    assert many.srcc[0] < metrics.srcc < many.srcc[1]
    assert many.plcc[0] < metrics.plcc < many.plcc[1]
    assert many.srcc[1] - many.srcc[0] < few.srcc[1] - few.srcc[0]


def test_bootstrap_interval_of_spearman_covers_as_often_as_it_says() -> None:
    """Bivariate normal with Pearson r has Spearman 6/π·asin(r/2)."""
    truth = 6 / np.pi * np.arcsin(0.7 / 2)
    covered = 0
    for seed in range(40):
        x, noise = np.random.default_rng(seed).normal(size=(2, 80))
        interval = bootstrap_intervals(0.7 * x + np.sqrt(1 - 0.49) * noise, x, resamples=120, seed=seed).srcc
        assert interval is not None
        covered += interval[0] <= truth <= interval[1]
    assert covered >= 33  # 95 % of 40 is 38; fewer than 33 happens by chance once in 500


def test_drawn_correlations_are_scipys_of_the_resampled_videos() -> None:
    mos, scores = (values.round() for values in noisy(40))  # with ties
    counts = np.concatenate([*draws(40, None, 60)])
    assert counts.shape == (60, 40) and (counts.sum(axis=1) == 40).all()
    found = {
        spearmanr: drawn_spearman(Ranking(mos), Ranking(scores), counts),
        pearsonr: drawn_pearson(mos, scores, counts),
        kendalltau: Concordance(mos, scores)(counts),
    }
    for row, times in enumerate(counts.astype(int)):
        videos = np.repeat(np.arange(40), times)
        for scipys, ours in found.items():
            assert ours[row] == pytest.approx(scipys(mos[videos], scores[videos]).statistic, abs=1e-6)


def test_groups_are_drawn_whole() -> None:
    groups = ["b", "a", "b", "c", "c", "b"]
    for counts in draws(6, groups, 20):
        assert (counts[:, [0]] == counts[:, [2, 5]]).all() and (counts[:, 3] == counts[:, 4]).all()
        assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all()
    with pytest.raises(ValueError, match="2 content groups for 3 videos"):
        next(draws(3, ["a", "b"]))


def test_intervals_over_groups_of_one_are_those_over_videos_and_one_group_has_none() -> None:
    mos, scores = noisy(150, noise=30)
    single = bootstrap_intervals(mos, scores)
    alone = bootstrap_intervals(mos, scores, [f"{i:03}" for i in range(150)])
    for name in ("srcc", "plcc", "krcc", "rmse"):
        assert getattr(alone, name) == pytest.approx(getattr(single, name), rel=0.02), name
    assert bootstrap_intervals(mos, scores, ["a"] * 150).srcc is None


def test_coefficient_of_determination_is_the_explained_share_of_the_variance() -> None:
    mos, scores = noisy()
    metrics = score_metrics(mos, scores)
    assert metrics.rmse is not None and metrics.r2 == pytest.approx(1 - metrics.rmse**2 / mos.var())
    assert score_metrics(100 / (1 + np.exp(-scores)), scores).r2 == pytest.approx(1, abs=1e-4)


def test_outliers_lie_beyond_the_interval_of_the_opinion_scores() -> None:
    """P.1401's half interval of 10 opinions with σ = 2 is t(0.975, 9) · 2 / √10 = 2.262 · 0.632."""
    half = ci95(2.0, 10)
    assert half == pytest.approx(2.262157 * 2 / 10**0.5)
    assert (ci95(2.0, None), ci95(None, 10), ci95(2.0, 1)) == (None, None, None)
    mos = np.zeros(5)
    errors = np.array([0.0, 1.4, -1.5, 9.0, 9.0])
    assert outlier_ratio(mos, errors, [half, half, half, half, float("nan")]) == 0.5
    assert outlier_ratio(mos, errors, [float("nan")] * 5) is None
    with pytest.raises(ValueError, match="expected 5 halves"):
        outlier_ratio(mos, errors, [1.0])


def test_our_map_is_the_one_that_relax_vqas_authors_fitted(shared_data: Path) -> None:
    file = shared_data / "predictions" / "relaxvqa_lsvq_test.csv"
    mos, scores, theirs = np.loadtxt(file, delimiter=",", skiprows=1).T
    mapping = logistic_of(mos, scores)
    assert mapping is not None
    np.testing.assert_allclose(mapping(scores), theirs, atol=1e-3)  # of 0-100; 3e-4 at most


def test_logistic_has_the_published_form() -> None:
    curve = Logistic(90.0, 10.0, 0.5, 0.1)
    assert curve(np.array([0.5]))[0] == pytest.approx(50)
    assert curve(np.array([-1e6, 1e6])) == pytest.approx([10, 90])


def test_level_accuracy_counts_unstated_levels_as_wrong() -> None:
    accuracy = level_accuracy(["poor", "poor", "fair", "fair"], ["poor", "good", None, "fair"], LEVELS)
    assert accuracy.total == 0.5
    assert accuracy.classes == {"poor": 0.5, "fair": 0.5, "good": None}
    assert accuracy.confusion["fair"] == {"poor": 0, "fair": 1, "good": 0, "none": 1}
    assert level_accuracy([], [], LEVELS).total is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LEVELS), st.sampled_from([*LEVELS, None])), max_size=40))
def test_confusion_holds_every_video_once(pairs: list[tuple[str, str | None]]) -> None:
    accuracy = level_accuracy([true for true, _ in pairs], [guess for _, guess in pairs], LEVELS)
    assert sum(sum(row.values()) for row in accuracy.confusion.values()) == len(pairs) == accuracy.n


def test_unknown_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="excellent"):
        level_accuracy(["poor"], ["excellent"], LEVELS)
    with pytest.raises(ValueError, match="1 true levels"):
        level_accuracy(["poor"], [], LEVELS)


def test_texts_are_right_whatever_the_case_spaces_and_full_stop_and_numbers_are_off_by_so_much() -> None:
    found = text_figures(["Gaussian blur", "none", "noise"], ["gaussianblur.", "None", "blur"])
    assert (found.n, found.right, found.numbers_off, found.without_numbers) == (
        3,
        pytest.approx(2 / 3),
        None,
        0,
    )
    true = ["from 1.0 to 2.5 seconds", "from 0.5 to 3.0 seconds", "from 2.0 to 4.0 seconds"]
    said = ["from 1. 5 to 2. 5 seconds", "from 0.5 to 5.0 seconds", "at the end"]
    found = text_figures(true, said)
    assert (found.right, found.numbers_off, found.without_numbers) == (0, 1.25, 1)
    assert text_figures(["3-5 s", "-2"], ["3 to 6 s", "-2"]).numbers_off == 0.5
    assert text_figures([], []).right is None and text_figures(["3"], ["?"]).numbers_off is None
    with pytest.raises(ValueError):
        text_figures(["a"], [])
