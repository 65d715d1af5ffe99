"""What a plan says of a training: figures for programs, lines for people."""

from dataclasses import asdict, dataclass
from typing import Any

from tqdm import tqdm

from config.errors import count
from train.plan.cost import MFU, Card, Operations
from train.plan.memory import Memory

_SHOWN = 3


@dataclass(frozen=True)
class Tokens:
    """Of a training video in the decoder, for one member."""

    members: int
    """So many times as many go through it."""
    visual_mean: float
    text: int
    """What stands before the video, and every task's question and answer, at most."""
    text_estimated: bool
    """The decoder's tokenizer is not on this machine."""
    longest: int
    context: int | None
    """How many the decoder reads; None: any number."""
    too_long: list[str]
    """Videos, of all splits, that it cannot read: a run refuses them."""


@dataclass(frozen=True)
class Steps:
    """Of the optimiser."""

    epoch: int
    all: int
    passes: float
    """Mean of a step, on each process."""


@dataclass(frozen=True)
class TrainingPlan:
    """What a training would read, hold, compute and take."""

    pipeline: str
    processes: int
    samples: dict[str, str]
    """Dataset → what a label is of: a video or a conversation."""
    videos: dict[str, dict[str, int]]
    """Dataset → split → number of videos, or of conversations."""
    missing: dict[str, int]
    """Dataset → labelled ones that are left out: they have no features, or no file to extract."""
    lengths: str
    feature_bytes: dict[str, float]
    """Encoder and stream, of all splits."""
    tokens: Tokens
    steps: Steps
    trained: dict[str, int]
    """Part → parameters."""
    frozen: int
    dtype: str
    memory: Memory
    operations: Operations
    card: Card | None
    hours: float | None

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        memory = {"activations": self.memory.activations, "total": self.memory.total}
        return {**asdict(self), "memory": asdict(self.memory) | memory, "mfu": MFU}

    def lines(self) -> list[str]:
        """For people."""
        return [*self._data(), *self._model(), *self._cost()]

    @property
    def _sample(self) -> str:
        return " or ".join(dict.fromkeys(self.samples.values()))

    def _data(self) -> list[str]:
        tokens, steps, lines = self.tokens, self.steps, list[str]()
        for dataset, parts in self.videos.items():
            counts = ", ".join(f"{number:,} {part}" for part, number in parts.items())
            left_out = self.missing[dataset]
            of = self.samples[dataset]
            lines.append(f"{self.pipeline} on {dataset}: {counts} {of}s")
            lines += [f"  {count(left_out, f'labelled {of}')} left out"] if left_out else []
        lines.append(f"lengths: {self.lengths}")
        lines += [f"  {stream}: {_bytes(size)} of features" for stream, size in self.feature_bytes.items()]
        estimated = " (estimated: its tokenizer is not here)" if tokens.text_estimated else ""
        members = f", for each of {tokens.members} members" if tokens.members > 1 else ""
        lines.append(
            f"tokens a {self._sample}: {tokens.visual_mean:,.0f} visual, {tokens.text} of"
            f" text{estimated}{members}"
        )
        lines.append(f"  the longest with one question: {tokens.longest:,}{_of_context(tokens)}")
        lines.append(
            f"steps: {steps.epoch:,} an epoch, {steps.all:,} in all; {steps.passes:.3g} passes a step,"
            f" of at most {self.memory.tokens:,} tokens"
        )
        return lines

    def _model(self) -> list[str]:
        memory = self.memory
        trained = ", ".join(f"{name} {number:,}" for name, number in self.trained.items())
        lines = [
            f"parameters: {trained} train",
            f"  {self.frozen:,} are frozen ({self.dtype})",
            f"memory of each process (of {self.processes}): about {_bytes(memory.total)}",
            f"  {_bytes(memory.frozen)} frozen weights, {_bytes(memory.trained)} what trains, its gradients"
            " and AdamW's state",
        ]
        if memory.layers:
            lines.append(
                f"  {_bytes(memory.activations)} activations (estimated; not compiled), with"
                f" {memory.recomputed_layers} of {memory.layers} layers recomputed"
            )
        return lines

    def _cost(self) -> list[str]:
        work, lines = self.operations, []
        if work.training:
            lines.append(
                f"operations of the decoder: {_flop(work.video)} a {self._sample}, {_flop(work.step)} a step,"
                f" {_flop(work.training)} in all"
            )
        if self.card is not None and self.hours is not None:
            fits = "fits" if self.memory.total <= self.card.memory_gb * 1e9 else "does not fit"
            lines.append(
                f"about {_duration(self.hours)} on {self.processes} × {self.card.name} for the steps alone:"
                f" {self.card.tflops:g} TFLOP/s, of which {MFU:.0%} were reached on an H200;"
                f" it {fits} {self.card.memory_gb:g} GB"
            )
        return lines


def _of_context(tokens: Tokens) -> str:
    if tokens.context is None:
        return ""
    of = f" of the {tokens.context:,} that the decoder reads"
    if not tokens.too_long:
        return of
    return f"{of}; {len(tokens.too_long):,} videos do not fit, such as {', '.join(tokens.too_long[:_SHOWN])}"


def _bytes(size: float) -> str:
    return _in(size, "B")


def _flop(operations: float) -> str:
    return _in(operations, "FLOP")


def _in(number: float, unit: str) -> str:
    """With a metric prefix: 148 GB."""
    written = str(tqdm.format_sizeof(number))
    digits = written.rstrip("kMGTPEZY")
    return f"{digits} {written.removeprefix(digits)}{unit}"


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
