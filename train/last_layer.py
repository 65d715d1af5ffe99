"""The last layer computes its output where answers are read, and nowhere else.

Of all other rows, only keys and values matter there: no layer follows that would look at their output.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


class AnswerRows:
    """Confines the last layer's MLP and output projection to chosen rows; the others' output is zero."""

    def __init__(self, decoder: PreTrainedModel) -> None:
        self._rows: torch.Tensor | None = None
        self._length = 0
        layer = decoder.get_decoder().layers[-1]
        attention = getattr(layer, "self_attn", None)
        for module in (getattr(attention, "o_proj", None), getattr(layer, "mlp", None)):
            if module is not None:
                module.register_forward_pre_hook(self._select)
                module.register_forward_hook(self._spread)

    @contextmanager
    def only(self, rows: torch.Tensor) -> Iterator[None]:
        """A forward pass of one sequence of which the output is read at `rows` [A] alone."""
        self._rows = rows
        try:
            yield
        finally:
            self._rows = None

    def _select(self, _module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Any:
        if self._rows is None:
            return None
        self._length = inputs[0].shape[1]
        return (inputs[0].index_select(1, self._rows), *inputs[1:])

    def _spread(self, _module: nn.Module, _inputs: Any, output: torch.Tensor) -> Any:
        if self._rows is None:
            return None
        everywhere = output.new_zeros(1, self._length, output.shape[-1])
        return everywhere.index_copy(1, self._rows, output)
