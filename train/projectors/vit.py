"""The paper's spatial projector: one vision-transformer layer, then one linear layer (eq. 6)."""

import torch
from torch import nn

from config.schema import ProjectorSettings


class VitProjector(nn.Module):
    """[N, tokens, features] → [N, tokens, width]; the tokens of one key frame attend to each other."""

    def __init__(self, settings: ProjectorSettings, tokens: int, features: int, width: int) -> None:
        super().__init__()
        self.output_tokens = tokens
        self.layer = nn.TransformerEncoderLayer(
            d_model=features,
            nhead=settings.heads,
            dim_feedforward=round(features * settings.mlp_ratio),
            dropout=settings.dropout,
            activation="gelu",
            norm_first=True,
            batch_first=True,
        )
        self.linear = nn.Linear(features, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.linear(self.layer(tokens))  # type: ignore[no-any-return]  # [N, T, H]
