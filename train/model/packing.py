"""Contexts back to back in one row: each a prefix of texts and media, and a tree of tokens that continue it.

    [text | visual tokens | Q1 A1 | Q2 A2] [text | visual tokens | text | visual tokens | Q1 A1 Q2 A2] …

A token attends to the prefix of its context and to its own ancestors in the tree, and its position counts
only those: every branch is read as if it stood alone behind the prefix.

Text with which all contexts begin may stand before them once, the row's lead: all attend to it.

    text [visual tokens | Q1 A1 | Q2 A2] [visual tokens | text | visual tokens | Q1 A1 Q2 A2] …
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

ROOT = -1
"""The parent of tokens that continue the prefix itself."""


class TokenTree:
    """Token ids, each of which continues an earlier one, or the prefix (ROOT)."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.parents: list[int] = []

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids: Sequence[int], after: int = ROOT) -> int:
        """Continue the token `after` by a chain of ids; returns the index of its last one."""
        for token in ids:
            self.ids.append(token)
            self.parents.append(after)
            after = len(self.ids) - 1
        return after

    def child(self, parent: int, token: int) -> int | None:
        """The index of the token that continues `parent` so, where there is one."""
        pairs = zip(self.ids, self.parents, strict=True)
        return next((i for i, pair in enumerate(pairs) if pair == (token, parent)), None)

    @property
    def chain(self) -> bool:
        """Whether each token continues the one before it."""
        return self.parents == list(range(ROOT, len(self) - 1))

    def depths(self) -> list[int]:
        """How many of its ancestors stand between each token and the prefix."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(0 if parent == ROOT else depths[parent] + 1)
        return depths

    def ancestors(self) -> torch.Tensor:
        """Boolean [tokens, tokens]: row i marks token i and its ancestors."""
        marks = torch.eye(len(self), dtype=torch.bool)
        rows = marks.numpy()
        for index, parent in enumerate(self.parents):
            if parent != ROOT:
                rows[index, :index] |= rows[parent, :index]
        return marks


@dataclass(frozen=True)
class Segment:
    """Where one context stands in the row, and what the tokens of its tree attend to."""

    start: int
    prefix: int
    """Tokens that the whole tree shares; each attends to those before it."""
    allowed: torch.Tensor
    """Boolean [tree, prefix + tree]."""
    chain: bool
    """Whether each token of the tree continues the one before it: all of the segment is then causal."""
    read: bool
    """Whether something is read within the prefix."""
    media: torch.Tensor
    """Boolean [prefix + tree]: which tokens are a medium's."""
    begins_with_medium: bool

    @property
    def tree(self) -> int:
        """Tokens of the tree."""
        return self.allowed.shape[0]

    @property
    def length(self) -> int:
        """Tokens of the prefix and the tree."""
        return self.allowed.shape[1]

    @property
    def mask(self) -> torch.Tensor:
        """Boolean [length, length]: what each of its tokens attends to."""
        mask = torch.ones(self.length, self.length, dtype=torch.bool, device=self.allowed.device).tril_()
        mask[self.prefix :] = self.allowed
        return mask

    def row(self, index: int) -> int:
        """The place in the row of a token of the tree."""
        return self.start + self.prefix + index


@dataclass(frozen=True)
class Layout:
    """A packed row: its segments in order, and the position of every token, [1, tokens]."""

    segments: tuple[Segment, ...]
    positions: torch.Tensor
    lead: int = 0
    """Tokens before the first segment, to which all attend, and which the prefixes do not count."""

    @property
    def tokens(self) -> int:
        """Length of the row."""
        return self.positions.shape[1]


Part = tuple[int, ...] | torch.Tensor
"""Token ids, or a medium's projected tokens [V, width]; [members, V, width] before they are divided."""


@dataclass(frozen=True)
class Context:
    """What one or several conversations have in common, and how each goes on."""

    parts: tuple[Part, ...]
    """In their order."""
    tree: TokenTree
    read: bool = False
    """Whether something is read within the parts, as the answers of earlier turns are."""

    @property
    def prefix(self) -> int:
        """Tokens that the whole tree shares."""
        return sum(map(length, self.parts))

    def media(self) -> torch.Tensor:
        """Boolean [prefix + tree]: which tokens are a medium's."""
        kinds = [torch.full((length(part),), isinstance(part, torch.Tensor)) for part in self.parts]
        return torch.cat([*kinds, torch.zeros(len(self.tree), dtype=torch.bool)])


def length(part: Part) -> int:
    """Its number of tokens."""
    return part.shape[-2] if isinstance(part, torch.Tensor) else len(part)


def common_lead(contexts: Sequence[Context]) -> tuple[int, ...]:
    """The text with which all of several contexts begin, where nothing is read within them."""
    first = contexts[0].parts[0]
    if len(contexts) == 1 or isinstance(first, torch.Tensor):
        return ()
    alike = (isinstance(c.parts[0], tuple) and c.parts[0] == first and not c.read for c in contexts)
    return first if all(alike) else ()


def lay_out(contexts: Sequence[Context], device: torch.device, lead: int = 0) -> Layout:
    """The layout of contexts in one row, whose common lead of so many tokens stands before them."""
    segments, positions, start = [], [torch.arange(lead)], lead
    known: dict[object, tuple[torch.Tensor, torch.Tensor, torch.Tensor, bool]] = {}
    for context in contexts:
        tree, prefix = context.tree, context.prefix - lead
        key = tuple(tree.parents), tuple((isinstance(part, tuple), length(part)) for part in context.parts)
        if key not in known:  # contexts of one form share their tensors
            shared = torch.ones(len(tree), prefix, dtype=torch.bool)
            allowed = torch.cat([shared, tree.ancestors()], dim=1).to(device, non_blocking=True)
            own = context.media()[lead:]
            depths = torch.tensor(tree.depths(), dtype=torch.long)
            places = torch.cat([torch.arange(lead, lead + prefix), lead + prefix + depths])
            known[key] = allowed, own.to(device, non_blocking=True), places, bool(own[0])
        allowed, media, places, first = known[key]
        segments.append(Segment(start, prefix, allowed, tree.chain, context.read, media, first))
        positions.append(places)
        start += prefix + len(tree)
    return Layout(tuple(segments), torch.cat(positions)[None].to(device, non_blocking=True), lead)


def embed(contexts: Sequence[Context], table: torch.nn.Embedding, lead: tuple[int, ...] = ()) -> torch.Tensor:
    """The row's embeddings [1, tokens, width] in the table's precision.

    A lead is the first part of every context, and stands there once.
    """
    own = [context.parts[1:] if lead else context.parts for context in contexts]
    trees = [tuple(context.tree.ids) for context in contexts]
    parts = [lead, *(part for each, tree in zip(own, trees, strict=True) for part in (*each, tree))]
    texts = [part for part in parts if isinstance(part, tuple)]
    ids = torch.tensor([token for text in texts for token in text], device=table.weight.device)
    embedded = iter(table(ids).split([len(text) for text in texts]))
    row = [next(embedded) if isinstance(part, tuple) else part.to(table.weight.dtype) for part in parts]
    return torch.cat(row)[None]
