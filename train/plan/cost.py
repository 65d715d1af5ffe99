"""What a training computes, and how long a GPU takes for it."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from transformers import PreTrainedModel

from config.errors import nearest
from train.errors import TrainError
from train.loop.meter import attention_flops, training_flops_per_token

MFU = 0.461
"""Share of an H200's datasheet rate that the step of an 8-billion decoder reached: 3.51 videos/s of 4,096
visual tokens, packed, without torch.compile, nothing recomputed (benchmarks/RESULTS.md, "On a GPU")."""
_FILE = Path(__file__).with_name("cards.toml")


@dataclass(frozen=True)
class Card:
    """A GPU."""

    name: str
    tflops: float
    """Dense bfloat16, as the vendor's datasheet has it."""
    memory_gb: float
    source: str


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of the decoder's forward and backward passes; projectors are left out."""

    video: float
    """Mean."""
    step: float
    """Mean."""
    training: float
    """Of all epochs."""

    def hours(self, card: Card, processes: int, recomputed_share: float) -> float:
        """On so many cards at MFU. `recomputed_share` of the layers computes its forward pass twice."""
        rate = processes * card.tflops * 1e12 * MFU
        return self.training * (1 + recomputed_share / 2) / rate / 3600


def operations(
    decoder: PreTrainedModel | None, tokens: Sequence[int], epochs: int, steps: int, members: int = 1
) -> Operations:
    """Of `tokens` (each video's, of one member) in each epoch, in so many steps altogether."""
    if decoder is None:
        return Operations(0.0, 0.0, 0.0)
    linear, pair = training_flops_per_token(decoder), attention_flops(decoder, 1)
    epoch = float(members * sum(count * linear + count**2 * pair for count in tokens))
    return Operations(epoch / len(tokens), epoch * epochs / steps, epoch * epochs)


@cache
def cards() -> Mapping[str, Card]:
    """Those of cards.toml by name."""
    return {name: Card(name, **figures) for name, figures in tomllib.loads(_FILE.read_text()).items()}


def card(name: str) -> Card:
    """That card. Raises TrainError, with the names that there are."""
    known = cards()
    if name not in known:
        raise TrainError(
            f"no card {name!r}{nearest(name, known)}; known are {', '.join(known)} ({_FILE.name} takes more)"
        )
    return known[name]
