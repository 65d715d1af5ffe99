"""Recomputing layers in the backward pass instead of keeping what they computed."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from train.errors import TrainError

SPARE = 0.85
"""Share of the free memory that activations may take; the rest is for gradients and workspaces."""


class Recompute:
    """Chooses, for each step, how many of the decoder's layers are recomputed.

    `layers` is all of them, `auto` as many as the free memory of a CUDA device demands (none on a CPU); what
    a layer keeps is measured in the first pass, which recomputes all others. The first layers are taken:
    their turn in the backward pass comes when the others' memory is free again. The last layer is never
    among them, since it keeps little (see AnswerRows).
    """

    def __init__(
        self,
        decoder: PreTrainedModel,
        setting: Literal["none", "layers", "auto"],
        proportional: bool = True,
    ) -> None:
        """`proportional`: whether a layer keeps as much for each token however many there are; if not, `auto`
        recomputes all layers on a GPU.

        Raises TrainError where the decoder's layers cannot be recomputed.
        """
        self._proportional = proportional
        self._layers: Sequence[GradientCheckpointingLayer] = []
        self._auto = setting == "auto"
        self._bytes_per_token: float | None = None
        if setting == "none":
            return
        if getattr(decoder, "is_loaded_in_8bit", False):
            # bitsandbytes' 8-bit product keeps its input by itself, whatever is recomputed.
            if self._auto:
                return
            raise TrainError(
                "layers of 8-bit weights cannot be recomputed: set step.recompute = none, or quantised = 4bit"
            )
        layers = [m for m in decoder.modules() if isinstance(m, GradientCheckpointingLayer)]
        if not layers:
            raise TrainError(
                f"{type(decoder).__name__} has no layers that transformers can recompute:"
                " set step.recompute = none"
            )
        decoder.activation_checkpointing_enable({"use_reentrant": False})
        self._layers = layers[:-1]
        self._mark(0)

    @contextmanager
    def within(self, embeddings: torch.Tensor) -> Iterator[None]:
        """The forward pass over embeddings [1, tokens, width]."""
        if not self._layers or not torch.is_grad_enabled():
            yield
            return
        try:
            if self._auto and self._proportional and self._bytes_per_token is None and embeddings.is_cuda:
                self._mark(len(self._layers) - 1)
                with kept_bytes(self._layers[-1]) as kept:
                    yield
                self._bytes_per_token = sum(kept.values()) / embeddings.shape[1]
            else:
                self._mark(self.count(embeddings))
                yield
        finally:
            self._mark(0)

    def count(self, embeddings: torch.Tensor) -> int:
        """How many layers to recompute for embeddings [1, tokens, width]."""
        if not self._auto or (embeddings.is_cuda and not self._proportional):
            return len(self._layers)
        if self._bytes_per_token is None or not embeddings.is_cuda:
            return 0
        free = torch.cuda.mem_get_info(embeddings.device)[0]
        free += torch.cuda.memory_reserved(embeddings.device) - torch.cuda.memory_allocated(embeddings.device)
        kept = embeddings.shape[-1] * embeddings.element_size()
        return layers_to_recompute(
            embeddings.shape[1], len(self._layers), self._bytes_per_token, kept, free * SPARE
        )

    def _mark(self, count: int) -> None:
        # Layers recompute in training mode alone. The flag is the layer's own: what is inside it, where
        # dropout would be, stays in evaluation mode.
        for number, layer in enumerate(self._layers):
            layer.gradient_checkpointing = layer.training = number < count


@contextmanager
def kept_bytes(layer: nn.Module) -> Iterator[dict[int, int]]:
    """What a layer that runs within the block keeps for the backward pass: address → bytes."""
    weights: set[int] = set()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # the tensor itself may be the output of what keeps it: a circle

    with ExitStack() as within:

        def begin(*_: Any) -> None:  # a divided layer has been gathered by now
            weights.update(parameter.untyped_storage().data_ptr() for parameter in layer.parameters())
            within.enter_context(torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor))

        def end(*_: Any) -> None:
            within.close()

        handles = [layer.register_forward_pre_hook(begin), layer.register_forward_hook(end)]
        try:
            yield kept
        finally:
            for handle in handles:
                handle.remove()


def layers_to_recompute(tokens: int, layers: int, layer: float, kept: float, budget: float) -> int:
    """The fewest layers whose recomputation brings `tokens` within a budget of bytes.

    `layer` and `kept`: bytes a token that a layer holds for the backward pass, and holds when recomputed. One
    more layer's worth is needed while a layer is recomputed.
    """
    excess = tokens * layer * layers - budget
    if excess <= 0:
        return 0
    if kept >= layer:
        return layers
    return min(layers, math.ceil((excess + tokens * layer) / (tokens * (layer - kept))))
