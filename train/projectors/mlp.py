"""The multi-layer projector; without hidden layers it is the paper's one linear layer (eq. 7)."""

import math
from itertools import pairwise

import torch
from torch import nn

from config.schema import ProjectorSettings
from train.draws import Dropout


class MlpProjector(nn.Module):
    """[N, tokens, features] → [N, output tokens, width].

    With `settings.tokens` all tokens of a chunk together make that many output tokens; without, every
    token is mapped by itself.
    """

    def __init__(self, settings: ProjectorSettings, tokens: int, features: int, width: int) -> None:
        super().__init__()
        self.joint_tokens = settings.tokens
        self.width = width
        self.output_tokens = settings.tokens or tokens
        inputs, outputs = (
            (tokens * features, settings.tokens * width) if settings.tokens else (features, width)
        )
        widths = [inputs, *settings.hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.GELU(), Dropout(settings.dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.joint_tokens is None:
            return self.layers(tokens)  # type: ignore[no-any-return]  # [N, T, H]
        projected = self.layers(tokens.flatten(1))  # [N, T' * H]
        return projected.view(math.prod(projected.shape[:-1]), self.joint_tokens, self.width)  # type: ignore[no-any-return]
