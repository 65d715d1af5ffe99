"""Videos back to back in one row: each a shared prefix, and a tree of tokens that continue it.

    [before | visual tokens | Q1 A1 | Q2 A2] [before | visual tokens | Q1 A1 | Q2 A2] …

A token attends to the prefix of its video and to its own ancestors in the tree, and its position counts
only those: every branch is read as if it stood alone behind the prefix.
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
    """Where one video stands in the row, and what the tokens of its tree attend to."""

    start: int
    prefix: int
    """Tokens that the whole tree shares; each attends to those before it."""
    allowed: torch.Tensor
    """Boolean [tree, prefix + tree]."""
    chain: bool
    """Whether each token of the tree continues the one before it: all of the segment is then causal."""

    @property
    def tree(self) -> int:
        """Tokens of the tree."""
        return self.allowed.shape[0]

    @property
    def length(self) -> int:
        """Tokens of the prefix and the tree."""
        return self.allowed.shape[1]

    def row(self, index: int) -> int:
        """The place in the row of a token of the tree."""
        return self.start + self.prefix + index


@dataclass(frozen=True)
class Layout:
    """A packed row: its segments in order, and the position of every token, [1, tokens]."""

    segments: tuple[Segment, ...]
    positions: torch.Tensor

    @property
    def tokens(self) -> int:
        """Length of the row."""
        return self.positions.shape[1]


@dataclass(frozen=True)
class Passage:
    """What one video brings to a row: the text before its tokens, the tokens [V, width], and what follows."""

    before: tuple[int, ...]
    visual: torch.Tensor
    tree: TokenTree

    @property
    def prefix(self) -> int:
        """Tokens that the whole tree shares."""
        return len(self.before) + len(self.visual)


def lay_out(passages: Sequence[Passage]) -> Layout:
    """The layout of passages in one row, on the device of their visual tokens."""
    device = passages[0].visual.device
    segments, positions, start = [], [], 0
    for passage in passages:
        tree, prefix = passage.tree, passage.prefix
        shared = torch.ones(len(tree), prefix, dtype=torch.bool)
        allowed = torch.cat([shared, tree.ancestors()], dim=1)
        segments.append(Segment(start, prefix, allowed.to(device, non_blocking=True), tree.chain))
        positions += [torch.arange(prefix), prefix + torch.tensor(tree.depths(), dtype=torch.long)]
        start += prefix + len(tree)
    return Layout(tuple(segments), torch.cat(positions)[None].to(device, non_blocking=True))


def embed(passages: Sequence[Passage], table: torch.nn.Embedding) -> torch.Tensor:
    """The row's embeddings [1, tokens, width] in the table's precision."""
    device = passages[0].visual.device
    ids = [token for passage in passages for token in (*passage.before, *passage.tree.ids)]
    sizes = [size for passage in passages for size in (len(passage.before), len(passage.tree))]
    texts = table(torch.tensor(ids, device=device)).split(sizes)  # [before, H], [tree, H] of each
    parts: list[torch.Tensor] = []
    for passage, before, tree in zip(passages, texts[::2], texts[1::2], strict=True):
        parts += [before, passage.visual.to(before.dtype), tree]
    return torch.cat(parts)[None]
