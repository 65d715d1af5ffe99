"""Runs the decoder over a packed row: attention by plan, logits where they are wanted, layers recomputed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn
from transformers import Cache, PreTrainedModel

from config.schema import StepSettings
from train.model.attention import Plan, Way, chosen, make_plan, use_packed_attention
from train.model.mmca import two_softmaxes_behind
from train.model.packing import Context, Layout, common_lead
from train.model.recompute import Recompute


class PackedDecoder:
    """Prepares a decoder once, then runs rows through it.

    Raises TrainError where the decoder's attention cannot be packed.
    """

    def __init__(
        self,
        decoder: PreTrainedModel,
        settings: StepSettings,
        attention: Literal["causal", "mmca"] = "causal",
    ) -> None:
        use_packed_attention(decoder)
        self.mmca = attention == "mmca"
        self._settings = settings
        self._layers = decoder.config.get_text_config().num_hidden_layers
        self._answers = AnswerRows(decoder)
        self._recompute = Recompute(decoder, settings.recompute, proportional=not self.mmca)
        self._compiled = False
        if settings.compile is True:
            self._compile(decoder)

    def lead(self, contexts: Sequence[Context]) -> tuple[int, ...]:
        """What stands once before all of the contexts in a row for `logits`."""
        longest = max(context.prefix + len(context.tree) for context in contexts)
        dense = not self.mmca and chosen(self._settings.attention, longest) == "dense"
        return common_lead(contexts) if dense else ()

    def logits(
        self,
        decoder: PreTrainedModel,
        embeddings: torch.Tensor,
        layout: Layout,
        rows: torch.Tensor,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """float32 logits [A, vocabulary] at places `rows` [A] of trees, for embeddings [1, tokens, width].

        With a cache, the row's keys and values are left in it.
        """
        if self._settings.compile == "auto" and embeddings.is_cuda and torch.is_grad_enabled():
            self._compile(decoder)
        way: Way | Any = self._settings.attention if cache is None else "segments"
        way = "mmca" if self.mmca else way
        plan = make_plan(layout, way, self._layers)
        with self._answers.only(rows), self._recompute.within(embeddings):
            return self._run(decoder, embeddings, layout.positions, rows, cache, plan=plan)

    def continued(
        self,
        decoder: PreTrainedModel,
        embeddings: torch.Tensor,
        positions: torch.Tensor,
        allowed: torch.Tensor,
        media: torch.Tensor,
        cache: Cache,
    ) -> torch.Tensor:
        """float32 logits [n, vocabulary] of n more tokens behind a cache.

        embeddings [1, n, width], positions [1, n]; allowed, boolean [n, cached + n], is what each attends to;
        media, boolean [cached + n], which of those tokens are a medium's.
        """
        every = torch.arange(embeddings.shape[1], device=embeddings.device)
        if self.mmca:
            attend = two_softmaxes_behind(media, allowed)
            return self._run(
                decoder, embeddings, positions, every, cache, plan=Plan(attend, attend, self._layers - 1)
            )
        return self._run(decoder, embeddings, positions, every, cache, mask=allowed[None, None])

    def _compile(self, decoder: PreTrainedModel) -> None:
        """Compile, once, what surrounds attention in every layer but the last, whose rows hooks choose."""
        if self._compiled or getattr(decoder, "is_quantized", False):
            return
        self._compiled = True
        for layer in list(decoder.get_decoder().layers)[:-1]:
            for name, part in layer.named_children():
                if name != "self_attn":
                    part.compile(dynamic=True)

    def _run(
        self,
        decoder: PreTrainedModel,
        embeddings: torch.Tensor,
        positions: torch.Tensor,
        rows: torch.Tensor,
        cache: Cache | None,
        mask: torch.Tensor | None = None,
        **plan: Any,
    ) -> torch.Tensor:
        if mask is None:  # a mask of four dimensions is handed on unread: the plan takes its place
            mask = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=embeddings.device)
        out = decoder(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            logits_to_keep=rows,
            **plan,
        )
        return out.logits[0].float()  # type: ignore[no-any-return]


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
