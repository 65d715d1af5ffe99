"""z-scores of the features by the training split's statistics, with training noise."""

import torch
from torch import nn

from train.draws import normal


class Standardise(nn.Module):
    """[…, features] → z-scores, bounded to ±clip; in training Gaussian noise is added.

    The statistics are buffers, fitted once and saved with the projector.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, features: int, clip: float | None, noise: float) -> None:
        super().__init__()
        self.clip = clip
        self.noise = noise
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    def fit(self, rows: torch.Tensor) -> None:
        """Take mean and standard deviation from rows [N, features]; a constant feature gives 0."""
        rows = rows.double()
        std = rows.std(dim=0, unbiased=False)
        constant = std <= 1e-8 * rows.abs().amax(dim=0).clamp_min(1.0)
        self.mean.copy_(rows.mean(dim=0))
        self.std.copy_(torch.where(constant, torch.ones_like(std), std))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        z = (features.float() - self.mean) / self.std
        if self.clip is not None:
            z = z.clamp(-self.clip, self.clip)
        if self.training and self.noise:
            z = z + self.noise * normal(z)
        return z
