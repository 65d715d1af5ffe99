"""The monotonic logistic map from a model's scores to opinion scores, as fitted before PLCC and RMSE."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit

Vector = NDArray[np.float64]
_MOST_EVALUATIONS = 2000
_NARROWEST = 1e-9
_COST_TOLERANCE = 1e-7  # of the squared error; moves PLCC by less than 1e-5


@dataclass(frozen=True)
class Logistic:
    """β2 + (β1 − β2) / (1 + exp(−(x − β3) / |β4|)), the form used by MinimalisticVQA (arXiv 2307.13981)."""

    beta1: float
    beta2: float
    beta3: float
    beta4: float

    def __call__(self, scores: Vector) -> Vector:
        """Opinion scores of the same shape."""
        return _curve(np.array([self.beta1, self.beta2, self.beta3, self.beta4]), scores)


def fit_logistic(scores: Vector, mos: Vector) -> Logistic | None:
    """Least-squares fit of the map; None where no start converges or fewer than 5 videos are given.

    Scores are standardised for the fit, which changes neither the family of curves nor its best member. One
    start is the usual one (max y, min y, mean x, 0.5 in the scores' own units); that alone ends in a step
    function where scores span 0–100, so wider starts are tried too and the best fit is taken.
    """
    if len(scores) < 5:
        return None
    centre, spread = float(scores.mean()), float(scores.std())
    standardised = (scores - centre) / spread

    def residuals(beta: Vector) -> Vector:
        return _curve(beta, standardised) - mos

    best: tuple[float, Vector] | None = None
    for width in (0.5 / spread, 0.5, 2.0):
        start = np.array([mos.max(), mos.min(), 0.0, width])
        fit = least_squares(residuals, start, method="lm", ftol=_COST_TOLERANCE, max_nfev=_MOST_EVALUATIONS)
        if fit.status > 0 and np.isfinite(fit.cost) and (best is None or fit.cost < best[0]):
            best = (float(fit.cost), np.asarray(fit.x))
    if best is None:
        return None
    beta1, beta2, beta3, beta4 = (float(beta) for beta in best[1])
    return Logistic(beta1, beta2, centre + spread * beta3, spread * abs(beta4))


def _curve(beta: Vector, x: Vector) -> Vector:
    curve: Vector = beta[1] + (beta[0] - beta[1]) * expit((x - beta[2]) / max(abs(beta[3]), _NARROWEST))
    return curve
