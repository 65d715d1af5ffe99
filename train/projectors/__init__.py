"""Projectors: features of one chunk → tokens in the decoder's embedding space."""

import torch
from torch import nn

from config.schema import ProjectorSettings
from train.draws import by_sample, own_draws
from train.errors import TrainError
from train.projectors.mlp import MlpProjector
from train.projectors.perceiver import PerceiverProjector
from train.projectors.standardise import Standardise
from train.projectors.vit import VitProjector

_KINDS: dict[str, type[MlpProjector] | type[VitProjector] | type[PerceiverProjector]] = {
    "mlp": MlpProjector,
    "vit": VitProjector,
    "perceiver": PerceiverProjector,
}


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
        self.standardise = (
            Standardise(features, settings.clip, settings.noise) if settings.standardise else None
        )
        self.project = _KINDS[settings.kind](settings, tokens, features, width)
        self.draws = settings.dropout > 0 or settings.noise > 0
        # Attention's dropout is drawn where no generator can be given.
        self._draws_within_torch = settings.kind != "mlp" and settings.dropout > 0
        self.register_buffer("scale", torch.tensor(embedding_std if settings.match_embeddings else 1.0))

    @property
    def output_tokens(self) -> int:
        return self.project.output_tokens

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        if self._draws_within_torch:
            return by_sample(self, self._projected, tokens)  # [N, T', H]
        with own_draws(self, tokens):
            return self._projected(tokens)

    def _projected(self, tokens: torch.Tensor) -> torch.Tensor:
        tokens = tokens.float() if self.standardise is None else self.standardise(tokens)
        return self.project(tokens) * self.scale  # type: ignore[no-any-return]
