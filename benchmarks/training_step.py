"""The packed training step beside the plain Hugging Face way, on the CPU.

    python benchmarks/training_step.py [--layers 4] [--hidden 512] [--tokens 1024] [--videos 2] [--turns 1]

A frozen random Llama with Llama-3's vocabulary, two conversations of so many turns a video. Plain: one
right-padded row for each
question, labels of -100, full float32 logits and transformers' own loss. Both compute the same loss and the
same gradients, which is checked; then they take turns, forward and backward. The memory is each way's own
peak, in a process of its own, above what the model takes. Beside the seconds stand those that the CPU worked
for the process, which a machine shared with others hardly changes (with --threads 1, not at all).
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.plain_step import plain_loss
from benchmarks.step_model import VOCABULARY, packed_loss, step_batch, step_model
from config.schema import StepSettings
from train.answers.conversation import Conversation
from train.data.reader import Features
from train.model.quality import QualityModel

Loss = Callable[[QualityModel, list[Features], list[Conversation]], torch.Tensor]
WAYS: dict[str, Loss] = {"plain": plain_loss, "packed": packed_loss}


def main() -> None:
    """Measure, print, and write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in {
        "layers": 4,
        "hidden": 512,
        "tokens": 1024,
        "videos": 2,
        "rounds": 5,
        "turns": 1,
        "vocabulary": VOCABULARY,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory-of", choices=list(WAYS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(peak_bytes(options))
        return
    memory = {way: _in_own_process(way) for way in WAYS}
    figures = compare(options) | {f"{way}_bytes": size for way, size in memory.items()}
    figures["memory_share"] = memory["packed"] / memory["plain"]
    print(f"{'way':8}{'seconds':>10}{'CPU seconds':>13}{'peak MB':>10}")
    for way in WAYS:
        taken = f"{figures[f'{way}_seconds']:10.2f}{figures[f'{way}_cpu_seconds']:13.2f}"
        print(f"{way:8}{taken}{memory[way] / 1e6:10.0f}")
    print(
        f"packed: {figures['speedup']:.1f} times faster, {figures['cpu_speedup']:.1f} in CPU seconds "
        f"(medians of {options.rounds} pairs), {figures['memory_share']:.3f} of the memory; "
        f"the same loss, {figures['loss']:.4f}"
    )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def compare(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of both ways in turn, after checking that they compute the same."""
    model, batch = _prepare(options)
    loss = _assert_same(model, batch)
    clocks = {"": time.perf_counter, "cpu_": time.process_time}
    taken: dict[str, list[float]] = {clock + way: [] for clock in clocks for way in WAYS}
    for _ in range(options.rounds):
        for way in WAYS:
            started = {clock: now() for clock, now in clocks.items()}
            WAYS[way](model, *batch).backward()
            for clock, now in clocks.items():
                taken[clock + way].append(now() - started[clock])
            model.zero_grad()
    figures = {"loss": loss}
    for clock in clocks:
        pairs = zip(taken[f"{clock}plain"], taken[f"{clock}packed"], strict=True)
        figures[f"{clock}speedup"] = statistics.median(plain / packed for plain, packed in pairs)
        figures |= {f"{way}_{clock}seconds": statistics.median(taken[clock + way]) for way in WAYS}
    return figures


def peak_bytes(options: argparse.Namespace) -> int:
    """How far one step raises the process's peak above what it was when the model was built."""
    model, batch = _prepare(options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    WAYS[options.memory_of](model, *batch).backward()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def _prepare(options: argparse.Namespace) -> tuple[QualityModel, tuple[list[Features], list[Conversation]]]:
    settings = StepSettings(compile=options.compile)
    model = step_model(
        options.layers, options.hidden, options.tokens, settings, vocabulary=options.vocabulary
    )
    return model, step_batch(model, options.videos, options.tokens, turns=options.turns)


def _assert_same(model: QualityModel, batch: tuple[list[Features], list[Conversation]]) -> float:
    losses, gradients = {}, {}
    for way, loss_of in WAYS.items():
        loss = loss_of(model, *batch)
        loss.backward()
        losses[way] = loss.item()
        gradients[way] = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        model.zero_grad()
    torch.testing.assert_close(losses["packed"], losses["plain"], atol=1e-5, rtol=1e-5)
    scale = gradients["plain"].abs().max()
    torch.testing.assert_close(gradients["packed"] / scale, gradients["plain"] / scale, atol=1e-5, rtol=1e-4)
    return losses["packed"]


def _in_own_process(way: str) -> int:
    command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", way]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
