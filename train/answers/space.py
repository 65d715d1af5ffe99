"""The answers that a task allows, as token sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class AnswerSpace:
    """All answers of a task: what they begin with alike (`lead`), and the token tail of each.

    In Llama-3's tokenizer every tail of the 101 scores is one token; tokenizers that write digit by digit
    give a small trie. Where one tail begins another (6 and 63), every tail is closed by `end`.
    """

    lead: tuple[int, ...]
    tails: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, answers: Sequence[tuple[int, ...]], end: int) -> "AnswerSpace":
        """From the token ids of every allowed answer, in the order of their values."""
        shared = 0
        while all(len(a) > shared for a in answers) and len({a[shared] for a in answers}) == 1:
            shared += 1
        tails = [answer[shared:] for answer in answers]
        known = set(tails)
        if any(not tail or any(tail[:n] in known for n in range(1, len(tail))) for tail in tails):
            tails = [(*tail, end) for tail in tails]
        if len(set(tails)) < len(tails):
            raise ValueError("two answers have the same tokens")
        return cls(answers[0][:shared], tuple(tails))

    @property
    def single_token(self) -> bool:
        """Whether the token after the lead decides by itself."""
        return set(self.forks) <= {()}

    @cached_property
    def forks(self) -> dict[tuple[int, ...], "Fork"]:
        """The trie's nodes (beginnings of tails) where more than one token may follow, short ones first.

        Where only one may, its probability among the allowed is one, and nothing needs to be asked.
        """
        nodes = sorted({tail[:n] for tail in self.tails for n in range(len(tail))}, key=lambda n: (len(n), n))
        found = {node: Fork.of(node, self.tails) for node in nodes}
        return {node: fork for node, fork in found.items() if len(fork.tokens) > 1}


@dataclass(frozen=True)
class Fork:
    """Where tails part: the tokens that may follow, and which of them each tail below takes."""

    tokens: tuple[int, ...]
    tails: tuple[int, ...]
    """Indices of the tails that pass here."""
    choices: tuple[int, ...]
    """For each of them, the index of its next token in `tokens`."""

    @classmethod
    def of(cls, node: tuple[int, ...], tails: Sequence[tuple[int, ...]]) -> "Fork":
        """The fork at a node."""
        size = len(node)
        below = [i for i, tail in enumerate(tails) if tail[:size] == node and len(tail) > size]
        tokens = sorted({tails[i][size] for i in below})
        return cls(tuple(tokens), tuple(below), tuple(tokens.index(tails[i][size]) for i in below))
