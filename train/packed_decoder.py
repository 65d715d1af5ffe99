"""Runs the decoder over a packed row: attention by plan, logits where they are wanted, layers recomputed."""

from typing import Any

import torch
from transformers import Cache, PreTrainedModel

from config.schema import StepSettings
from train.attention import Way, make_plan, use_packed_attention
from train.last_layer import AnswerRows
from train.packing import Layout
from train.recompute import Recompute


class PackedDecoder:
    """Prepares a decoder once, then runs rows through it.

    Raises TrainError where the decoder's attention cannot be packed.
    """

    def __init__(self, decoder: PreTrainedModel, settings: StepSettings) -> None:
        use_packed_attention(decoder)
        self._settings = settings
        self._layers = decoder.config.get_text_config().num_hidden_layers
        self._answers = AnswerRows(decoder)
        self._recompute = Recompute(decoder, settings.recompute)
        if settings.compile:
            _compile(decoder)

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
        way: Way | Any = self._settings.attention if cache is None else "segments"
        plan = make_plan(layout, way, self._layers)
        with self._answers.only(rows), self._recompute.within(embeddings):
            return self._run(decoder, embeddings, layout.positions, rows, cache, plan=plan)

    def continued(
        self,
        decoder: PreTrainedModel,
        embeddings: torch.Tensor,
        positions: torch.Tensor,
        allowed: torch.Tensor,
        cache: Cache,
    ) -> torch.Tensor:
        """float32 logits [n, vocabulary] of n more tokens behind a cache.

        embeddings [1, n, width], positions [1, n]; allowed, boolean [n, cached + n], is what each attends to.
        """
        every = torch.arange(embeddings.shape[1], device=embeddings.device)
        with self._recompute.within(embeddings):
            return self._run(decoder, embeddings, positions, every, cache, mask=allowed[None, None])

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


def _compile(decoder: PreTrainedModel) -> None:
    """Compile what surrounds attention in every layer but the last, whose rows are chosen by hooks."""
    for layer in list(decoder.get_decoder().layers)[:-1]:
        for name, part in layer.named_children():
            if name != "self_attn":
                part.compile(dynamic=True)
