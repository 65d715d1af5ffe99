"""Features brought to one scale by the training videos' statistics, which are saved with the projector."""

import math
from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch import nn

from config.schema import ProjectorSettings
from train.draws import normal

KNOTS = 129
"""Quantiles that are kept of each feature."""
_ROWS = 16_384
"""Feature vectors that the quantiles are taken of, at most: twice as many are thinned out."""


class Standardise(nn.Module):
    """[…, features] → numbers of mean 0 and deviation 1, bounded to ±clip; in training, noise is added."""

    def __init__(self, clip: float | None, noise: float) -> None:
        super().__init__()
        self.clip = clip
        self.noise = noise

    @abstractmethod
    def fit(self, blocks: Iterable[torch.Tensor]) -> None:
        """Take the statistics from blocks [N, features]; a constant feature gives 0."""

    @abstractmethod
    def scaled(self, features: torch.Tensor) -> torch.Tensor:
        """float32, not yet bounded."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        z = self.scaled(features.float())
        if self.clip is not None:
            z = z.clamp(-self.clip, self.clip)
        if self.training and self.noise:
            z = z + self.noise * normal(z)
        return z


class ZScores(Standardise):
    """Less the mean, by the standard deviation."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, features: int, clip: float | None, noise: float) -> None:
        super().__init__(clip, noise)
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))

    def fit(self, blocks: Iterable[torch.Tensor]) -> None:
        """See Standardise; holds one block at a time."""
        from sklearn.preprocessing import StandardScaler  # a second of start-up, for training alone

        scaler = StandardScaler()
        largest = torch.ones(len(self.mean), dtype=torch.float64)
        for rows in blocks:
            scaler.partial_fit(rows.double().numpy())
            largest = torch.maximum(largest, rows.double().abs().amax(dim=0))
        std = torch.from_numpy(scaler.var_).sqrt()
        self.mean.copy_(torch.from_numpy(scaler.mean_))
        self.std.copy_(torch.where(std <= 1e-8 * largest, torch.ones_like(std), std))

    def scaled(self, features: torch.Tensor) -> torch.Tensor:
        """See Standardise."""
        return (features - self.mean) / self.std


class NormalScores(Standardise):
    """The normal deviate of a feature's rank among the training videos' (van der Waerden 1952).

    A feature of whatever distribution becomes a normal one, so that the few videos far out do not take the
    range of all. Ranks are read off kept quantiles, linearly between them.
    """

    knots: torch.Tensor

    def __init__(self, features: int, clip: float | None, noise: float) -> None:
        super().__init__(clip, noise)
        self.register_buffer("knots", torch.linspace(-3, 3, KNOTS).expand(features, -1).contiguous())

    def fit(self, blocks: Iterable[torch.Tensor]) -> None:
        """See Standardise; of many rows, every second, fourth … is taken."""
        kept: list[torch.Tensor] = []
        stride = seen = count = 0
        for rows in blocks:
            stride = stride or 1
            first = -seen % stride
            kept.append(rows[first::stride].clone())
            seen, count = seen + len(rows), count + len(kept[-1])
            while count > 2 * _ROWS:
                kept, stride = [torch.cat(kept)[::2].clone()], 2 * stride
                count = len(kept[0])
        places = torch.linspace(0, 1, KNOTS, dtype=torch.float64)
        at = places * (count - 1)
        low = at.long().clamp(max=count - 1)
        high = (low + 1).clamp(max=count - 1)
        for own, values in zip(self.knots, torch.cat(kept).T, strict=True):
            ordered = values.sort().values.double()
            own.copy_(torch.lerp(ordered[low], ordered[high], at - low))

    def scaled(self, features: torch.Tensor) -> torch.Tensor:
        """See Standardise."""
        values = features.flatten(0, -2).T.contiguous()  # [D, N]
        before = torch.searchsorted(self.knots, values)  # knots below the value
        after = torch.searchsorted(self.knots, values, right=True)  # knots up to the value
        low, high = ((after - 1).clamp(0, KNOTS - 1), before.clamp(0, KNOTS - 1))
        left, right = self.knots.gather(1, low), self.knots.gather(1, high)
        share = ((values - left) / (right - left).clamp(min=1e-30)).clamp(0, 1)
        between = low + share  # where the value lies between two knots
        rank = torch.where(after > before, (before + after - 1) / 2, between) / (KNOTS - 1)
        constant = self.knots[:, :1] == self.knots[:, -1:]
        rank = torch.where(constant, torch.full_like(rank, 0.5), rank)
        z = math.sqrt(2) * torch.erfinv((2 * rank - 1).clamp(-_MOST, _MOST))
        return z.T.reshape(features.shape)


_MOST = 1 - 1 / KNOTS
"""Of 2 · rank - 1: what lies beyond all training videos is as far out as the last of the kept quantiles."""


def standardise(settings: ProjectorSettings, features: int) -> Standardise | None:
    """As the settings ask."""
    if not settings.standardise:
        return None
    kind = NormalScores if settings.standardise == "normal-scores" else ZScores
    return kind(features, settings.clip, settings.noise)
