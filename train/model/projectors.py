"""Projectors: features of one chunk → tokens in the decoder's embedding space."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional
from transformers import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPEncoderLayer

from config.schema import ProjectorSettings
from train.data.branches import Features
from train.data.items import numbers_of
from train.draws import Dropout, by_sample, own_draws
from train.errors import TrainError
from train.model.positions import Positions
from train.model.standardise import standardise


class Projector(nn.Module):
    """[N, tokens, features] → [N, output tokens, width]: standardise, project, scale.

    Raises TrainError where the attention heads do not divide the features.
    """

    draws: bool
    """Whether training it takes random numbers."""
    scale: torch.Tensor

    def __init__(
        self, settings: ProjectorSettings, tokens: int, features: int, width: int, embedding_std: float
    ) -> None:
        super().__init__()
        if settings.kind != "mlp" and features % settings.heads:
            raise TrainError(
                f"a {settings.kind} projector with {settings.heads} heads cannot divide {features} features"
                " among them: set `heads` of the branch's projector to a divisor"
            )
        self.standardise = standardise(settings, features)
        self.project = _KINDS[settings.kind](settings, tokens, features, width)
        self.norm = nn.LayerNorm(width, eps=1e-12) if settings.output_norm else nn.Identity()
        self.positions = None
        if settings.positions is not None:
            self.positions = Positions(settings.positions, features)
        self.end = nn.Parameter(torch.randn(width) * width**-0.5) if settings.end_token else None
        self.draws = settings.dropout > 0 or settings.noise > 0
        # Attention's dropout is drawn where no generator can be given.
        self._draws_within_torch = settings.kind != "mlp" and settings.dropout > 0
        self.register_buffer("scale", torch.tensor(embedding_std if settings.match_embeddings else 1.0))

    @property
    def output_tokens(self) -> int:
        return int(self.project.output_tokens)  # type: ignore[arg-type]

    def forward(self, tokens: torch.Tensor, numbers: Sequence[torch.Tensor] | None = None) -> torch.Tensor:
        """`numbers`: of the chunks [N] of each video in turn, where there are positions."""
        if self._draws_within_torch:
            return by_sample(self, self._projected, tokens)  # [N, T', H]
        with own_draws(self, tokens):
            return self._projected(tokens, numbers)

    def _projected(self, tokens: torch.Tensor, numbers: Sequence[torch.Tensor] | None = None) -> torch.Tensor:
        tokens = tokens.float() if self.standardise is None else self.standardise(tokens)
        if self.positions is not None:
            assert numbers is not None, "positions are those of videos' chunks: see projected_chunks"
            tokens = tokens + torch.cat([self.positions(own) for own in numbers])[:, None]
        return self.norm(self.project(tokens)) * self.scale  # type: ignore[no-any-return]


def projected_chunks(projector: nn.Module, branch: str, videos: Sequence[Features]) -> Sequence[torch.Tensor]:
    """What a branch's projector makes of the chunks of videos that have the branch: [K, T', H] each."""
    chunks = [video[branch] for video in videos]
    positions = getattr(projector, "positions", None)
    numbers = None if positions is None else [numbers_of(video, branch) for video in videos]
    tokens = torch.cat(chunks)
    projected = projector(tokens) if numbers is None else projector(tokens, numbers)  # [ΣK, T', H]
    return projected.split([len(own) for own in chunks])  # type: ignore[no-any-return]


class MlpProjector(nn.Module):
    """[N, tokens, features] → [N, output tokens, width].

    With `settings.tokens` all tokens of a chunk together make that many output tokens; without, every
    token is mapped by itself, and with `settings.resample` their square map is resampled then.
    """

    def __init__(self, settings: ProjectorSettings, tokens: int, features: int, width: int) -> None:
        super().__init__()
        self.joint_tokens = settings.tokens
        self.width = width
        self.output_tokens = settings.tokens or tokens
        self.resample = settings.resample
        if self.resample is not None:
            self.output_tokens, self.side = math.prod(self.resample), math.isqrt(tokens)
            if self.side**2 != tokens:
                raise TrainError(
                    f"resample = {list(self.resample)} is of square maps, but a chunk has {tokens} tokens:"
                    " leave out the branch's projector.resample"
                )
        inputs, outputs = (
            (tokens * features, settings.tokens * width) if settings.tokens else (features, width)
        )
        self.layers = perceptron(inputs, settings.hidden, outputs, Dropout(settings.dropout))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if self.joint_tokens is None:
            mapped: torch.Tensor = self.layers(tokens)  # [N, T, H]
            if self.resample is None:
                return mapped
            maps = mapped.unflatten(1, (self.side, self.side)).movedim(3, 1)  # [N, H, h, w]
            return functional.interpolate(maps, self.resample, mode="bilinear").flatten(2).transpose(1, 2)
        projected = self.layers(tokens.flatten(1))  # [N, T' * H]
        return projected.view(math.prod(projected.shape[:-1]), self.joint_tokens, self.width)  # type: ignore[no-any-return]


def perceptron(inputs: int, hidden: Sequence[int], outputs: int, dropout: nn.Module) -> nn.Sequential:
    """Linear layers through the hidden widths to the outputs, with GELU and dropout between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *hidden]):
        layers += [nn.Linear(before, after), nn.GELU(), dropout]
    return nn.Sequential(*layers, nn.Linear([inputs, *hidden][-1], outputs))


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


class ClipLayerProjector(nn.Module):
    """[N, tokens, features] → [N, tokens, width]: a layer of CLIP's vision encoder, then a linear one."""

    def __init__(self, settings: ProjectorSettings, tokens: int, features: int, width: int) -> None:
        super().__init__()
        self.output_tokens = tokens
        config = CLIPVisionConfig(
            hidden_size=features,
            intermediate_size=round(features * settings.mlp_ratio),
            num_attention_heads=settings.heads,
            attention_dropout=settings.dropout,
        )
        config._attn_implementation = "sdpa"
        self.layer = CLIPEncoderLayer(config)
        self.linear = nn.Linear(features, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.linear(self.layer(tokens, None))  # type: ignore[no-any-return]


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


_KINDS: dict[str, Callable[[ProjectorSettings, int, int, int], nn.Module]] = {
    "mlp": MlpProjector,
    "vit": VitProjector,
    "perceiver": PerceiverProjector,
    "clip-layer": ClipLayerProjector,
}
