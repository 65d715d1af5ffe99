"""The mean of the trained weights over the last epochs: what is validated and saved in their place."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class WeightAverage:
    """The mean of the weights after every step that was added (Izmailov et al. 2018, arXiv 1803.05407).

    Each process holds all that trains, and so the same mean.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = nn.ParameterList(parameters)
        self._mean: AveragedModel | None = None
        self._own: list[torch.Tensor] | None = None
        """The weights from which training goes on, while the model has the mean."""

    @property
    def steps(self) -> int:
        """How many steps' weights were added."""
        return 0 if self._mean is None else int(self._mean.n_averaged)

    def add(self) -> None:
        """Take in the weights as they are now."""
        if self._mean is None:
            self._mean = AveragedModel(self._parameters)
        self._mean.update_parameters(self._parameters)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the model has the mean for its weights, where there is one yet."""
        if self._mean is None:
            yield
            return
        self._own = self._copies()
        self._put(list(self._mean.module.parameters()))
        try:
            yield
        finally:
            self._put(self._own)
            self._own = None

    def state_dict(self) -> dict[str, Any]:
        """The mean, and the weights from which training goes on; empty where nothing was added."""
        return (
            {}
            if self._mean is None
            else {"mean": self._mean.state_dict(), "weights": self._own or self._copies()}
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state, whatever weights the model has now."""
        if state:
            self._mean = AveragedModel(self._parameters)
            self._mean.load_state_dict(state["mean"])
            self._put(state["weights"])

    def _copies(self) -> list[torch.Tensor]:
        return [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def _put(self, tensors: Sequence[torch.Tensor]) -> None:
        for parameter, tensor in zip(self._parameters, tensors, strict=True):
            parameter.copy_(tensor)
