"""Recomputing layers in the backward pass instead of keeping what they computed."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from train.errors import TrainError

_SPARE = 0.85
"""Share of the free memory that activations may take; the rest is for gradients and workspaces."""


class Recompute:
    """Chooses, for each step, how many of the decoder's layers are recomputed.

    `layers` is all of them, `auto` as many as the free memory of a CUDA device demands (none on a CPU). The
    first layers are taken: their turn in the backward pass comes when the others' memory is free again. The
    last layer is never among them, since it keeps little (see AnswerRows).
    """

    def __init__(self, decoder: PreTrainedModel, setting: Literal["none", "layers", "auto"]) -> None:
        self.setting = setting
        self._config = decoder.config.get_text_config()
        layers = [m for m in decoder.modules() if isinstance(m, GradientCheckpointingLayer)]
        self._layers = layers[:-1]
        if setting == "none":
            return
        if not layers:
            raise TrainError(
                f"{type(decoder).__name__} has no layers that transformers can recompute:"
                " set step.recompute = none"
            )
        decoder.activation_checkpointing_enable({"use_reentrant": False})
        self._mark(0)

    @contextmanager
    def within(self, embeddings: torch.Tensor) -> Iterator[None]:
        """The forward pass over embeddings [1, tokens, width]."""
        marked = self.count(embeddings) if torch.is_grad_enabled() else 0
        self._mark(marked)
        try:
            yield
        finally:
            self._mark(0)

    def count(self, embeddings: torch.Tensor) -> int:
        """How many layers to recompute for embeddings [1, tokens, width]."""
        if self.setting == "layers":
            return len(self._layers)
        if self.setting == "none" or not embeddings.is_cuda:
            return 0
        free = torch.cuda.mem_get_info(embeddings.device)[0]
        free += torch.cuda.memory_reserved(embeddings.device) - torch.cuda.memory_allocated(embeddings.device)
        size = embeddings.element_size()
        layer, kept = layer_bytes(self._config, size), embeddings.shape[-1] * size
        return layers_to_recompute(embeddings.shape[1], len(self._layers), layer, kept, free * _SPARE)

    def _mark(self, count: int) -> None:
        # Layers recompute in training mode alone. The flag is the layer's own: what is inside it, where
        # dropout would be, stays in evaluation mode.
        for number, layer in enumerate(self._layers):
            layer.gradient_checkpointing = layer.training = number < count


def layers_to_recompute(tokens: int, layers: int, layer: int, kept: int, budget: float) -> int:
    """The fewest layers whose recomputation brings `tokens` within a budget of bytes.

    `layer` and `kept`: bytes a token that a layer holds for the backward pass, and holds when recomputed. One
    more layer's worth is needed while a layer is recomputed.
    """
    excess = tokens * layer * layers - budget
    if excess <= 0:
        return 0
    return min(layers, math.ceil((excess + tokens * layer) / (tokens * (layer - kept))))


def layer_bytes(config: Any, element_bytes: int) -> int:
    """Bytes that one layer with frozen weights holds for the backward pass, for each token.

    Frozen linear layers hold nothing. Held are the two norms' inputs (in float32), queries, keys, values and
    the attention's output, and the gate, its activation and the other factor in the MLP.
    """
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    attention = 2 * (heads + key_heads) * width
    mlp = 3 * config.intermediate_size
    return int(2 * 4 * config.hidden_size + element_bytes * (attention + mlp))
