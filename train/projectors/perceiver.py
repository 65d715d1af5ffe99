"""Learned tokens that look at a chunk's: Flamingo's resampler (Alayrac et al. 2022, arXiv 2204.14198)."""

import torch
from torch import nn

from config.schema import ProjectorSettings


class PerceiverProjector(nn.Module):
    """[N, tokens, features] → [N, settings.tokens, width]; every chunk is looked at by itself.

    With T learned tokens, D features, R = D * mlp_ratio, L layers and width W it has
    T*D + L*(4D² + 10D + 2DR + R + D) + 2D + D*W + W parameters.
    """

    def __init__(self, settings: ProjectorSettings, tokens: int, features: int, width: int) -> None:  # noqa: ARG002
        super().__init__()
        assert settings.tokens is not None, "the settings require a perceiver's `tokens`"
        self.output_tokens = settings.tokens
        self.latents = nn.Parameter(torch.randn(settings.tokens, features) * features**-0.5)
        self.layers = nn.ModuleList(PerceiverLayer(settings, features) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(features)
        self.linear = nn.Linear(features, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        latents = self.latents.expand(len(tokens), -1, -1)  # [N, T', D]
        for layer in self.layers:
            latents = layer(latents, tokens)
        return self.linear(self.norm(latents))  # type: ignore[no-any-return]  # [N, T', H]


class PerceiverLayer(nn.Module):
    """One look: latents attend to the chunk's tokens and to themselves, then a two-layer network."""

    def __init__(self, settings: ProjectorSettings, features: int) -> None:
        super().__init__()
        hidden = round(features * settings.mlp_ratio)
        self.norm_latents = nn.LayerNorm(features)
        self.norm_tokens = nn.LayerNorm(features)
        self.attention = nn.MultiheadAttention(
            features, settings.heads, dropout=settings.dropout, batch_first=True
        )
        self.network = nn.Sequential(
            nn.LayerNorm(features),
            nn.Linear(features, hidden),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(hidden, features),
        )

    def forward(self, latents: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        queries = self.norm_latents(latents)  # [N, T', D]
        seen = torch.cat([self.norm_tokens(tokens), queries], dim=1)  # [N, T + T', D]
        latents = latents + self.attention(queries, seen, seen, need_weights=False)[0]
        return latents + self.network(latents)  # type: ignore[no-any-return]
