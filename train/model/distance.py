"""How far a video's features lie from those of the videos that a model was trained on."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

USUAL_SHARE = 0.99
"""Of the training videos, the share whose distance is at most 1."""
_LEAST_VARIANCE = 1e-6
"""Of features whose own variance is 1, along any axis."""


class FeatureDistance(nn.Module):
    """Mahalanobis distance of a video's mean features, in units that 99 % of the training videos keep within.

    The covariance is shrunk as far as the number of videos asks for (Ledoit and Wolf, J. Multivariate
    Analysis 2004). The statistics are buffers, fitted once and saved with the weights.
    """

    mean: torch.Tensor
    whitening: torch.Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("whitening", torch.eye(features))

    def fit(self, videos: Iterable[torch.Tensor]) -> None:
        """Take the statistics from the training videos' features, [K, tokens, features] each."""
        rows = np.stack([_mean(video).double().numpy() for video in videos])  # [N, D]
        centre, std = rows.mean(axis=0), rows.std(axis=0)
        scale = 1 / np.where(std > 1e-8 * np.abs(rows).max(axis=0, initial=0), std, np.inf)  # 0: constant
        whitening = scale[:, None] * _whitening((rows - centre) * scale)
        usual = np.quantile(np.linalg.norm((rows - centre) @ whitening, axis=1), USUAL_SHARE)
        self.mean.copy_(torch.from_numpy(centre))
        self.whitening.copy_(torch.from_numpy(whitening / (usual or 1.0)))

    @torch.inference_mode()
    def forward(self, video: torch.Tensor) -> float:
        """The distance of a video's features [K, tokens, features]; more than 1 is unusual."""
        return float(torch.linalg.vector_norm((_mean(video) - self.mean) @ self.whitening))


def _whitening(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """[D, D] that makes rows [N, D] of mean 0 uncorrelated, with a variance of 1."""
    from sklearn.covariance import LedoitWolf  # a second of start-up, for training alone

    if not z.any():
        return np.eye(z.shape[1])
    variances, axes = np.linalg.eigh(LedoitWolf(assume_centered=True).fit(z).covariance_)
    # Two videos lie on a line: nothing is shrunk, and what leaves the line is infinitely far off.
    whitening: NDArray[np.float64] = axes / np.sqrt(variances.clip(min=_LEAST_VARIANCE))
    return whitening


def _mean(video: torch.Tensor) -> torch.Tensor:
    """Over chunks and tokens, float32 [features]."""
    return video.float().flatten(0, 1).mean(dim=0)
