"""Conversations in one row: which of them share a context, and where their answers are read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from train.answers.chat import Answer, Piece, Slot, Text
from train.model.packing import ROOT, Context, Layout, Part, TokenTree, length

Place = tuple[int, int]
"""Number of the context, and of the token within it."""


class Row:
    """Collects conversations about media, whose tokens are [V, width] each, or [members, V, width]."""

    def __init__(self, media: Sequence[torch.Tensor]) -> None:
        self.contexts: list[Context] = []
        self._media = media
        self._known: dict[object, int] = {}

    def add(self, pieces: Sequence[Piece]) -> list[Place]:
        """Where each answer token is read.

        Behind an answer's own tokens, its end of turn is read. What stands up to the last slot is the
        context, which conversations share that are alike so far; the rest is a branch of its tree.
        """
        slots = [number for number, piece in enumerate(pieces) if isinstance(piece, Slot)]
        cut = slots[-1] + 1 if slots else 0
        head, rest = list(pieces[:cut]), list(pieces[cut:])
        if not head and isinstance(rest[0], Text):  # without media, the context is the first token
            head, rest[0] = [Text(rest[0].ids[:1])], Text(rest[0].ids[1:])
        number, read = self._context(head)
        tree, prefix = self.contexts[number].tree, self.contexts[number].prefix
        at = ROOT
        for piece in rest:
            if isinstance(piece, Slot):
                continue
            before, at = at, tree.add(piece.ids, at)
            if isinstance(piece, Answer):
                if before == ROOT:  # nothing stands between the context and the answer
                    self.contexts[number] = replace(self.contexts[number], read=True)
                read += [prefix + before, *range(prefix + len(tree) - len(piece.ids), prefix + len(tree))]
        return [(number, token) for token in read]

    def _context(self, head: Sequence[Piece]) -> tuple[int, list[int]]:
        """Number of the context, and where its answers are read."""
        read: list[int] = []
        parts: list[Part] = []
        tokens = 0
        for piece in head:
            part = self._media[piece.medium] if isinstance(piece, Slot) else piece.ids
            parts.append(part)
            if isinstance(piece, Answer):
                read += range(tokens - 1, tokens + length(part))
            tokens += length(part)
        key = tuple((type(piece), piece.medium if isinstance(piece, Slot) else piece.ids) for piece in head)
        if key not in self._known:
            self._known[key] = len(self.contexts)
            self.contexts.append(Context(tuple(parts), TokenTree(), bool(read)))
        return self._known[key], read


@dataclass(frozen=True)
class PackedConversations:
    """A row of all conversations, and where their answers are read."""

    embeddings: torch.Tensor
    """[1, tokens, width]."""
    layout: Layout
    rows: torch.Tensor
    """Places of the row whose logits are wanted, each once."""
    reads: torch.Tensor
    """[A]: in which of `rows` each answer token, and each end of turn, is predicted."""
    answers: list[list[Answer]]
    """What should be read there, conversation by conversation, of each member."""
