"""How near the training step and the prediction of a video come to what a GPU can do.

    python benchmarks/decoder_gpu.py [--device cuda] [--tokens 2048 4096] [--json FILE]

Llama-3-8B's architecture with random bfloat16 weights, made on the device. First the device's own matrix
rate; then, for each number of visual tokens a video, the step in its ways, and the plain Hugging Face way:
each with one video, two, four … until the memory is full, the fastest of them shown. The share of the matrix
rate counts what the step needs: 2 operations a parameter and token forward, 2 backward (input gradients
alone), and causal attention. With 4-bit weights, a run must fit 24 GB. `--tiny` runs the same code on a model
of no size, on any device.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.encoders import matrix_rate
from benchmarks.plain_step import plain_loss
from benchmarks.step_model import hold_in_4_bits, packed_loss, step_batch, step_model
from config.schema import StepSettings
from train.answers.conversation import Conversation
from train.data.reader import Features
from train.inference.predict import predict
from train.model.packed_decoder import PackedDecoder
from train.model.quality import QualityModel

Loss = Callable[[QualityModel, list[Features], list[Conversation]], torch.Tensor]
FULL = {"layers": 32, "hidden": 4096, "intermediate": 14336}
TINY = {"layers": 2, "hidden": 64, "intermediate": 128, "vocabulary": 512}
WAYS: dict[str, StepSettings | None] = {
    "segments": StepSettings(attention="segments", recompute="none", compile=False),
    "segments, layers recomputed": StepSettings(attention="segments", recompute="layers", compile=False),
    "dense": StepSettings(attention="dense", recompute="none", compile=False),
    "plain": None,
    "segments, compiled": StepSettings(attention="segments", recompute="none", compile=True),
    "segments, 4 bits, recomputed": StepSettings(attention="segments", recompute="layers", compile=False),
}
IN_4_BITS = "segments, 4 bits, recomputed"


def main() -> None:
    """Measure, print, and write the figures as JSON where asked, each as it is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--tokens", type=int, nargs="+", default=None, help="visual tokens a video")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--most-videos", type=int, default=None)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.device == "cpu" and not options.tiny:
        parser.error("without a GPU, only --tiny finishes")
    measure(options)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures, printed and written as they are found."""

    def found_so_far() -> None:
        if options.json:
            options.json.write_text(json.dumps(figures, indent=2) + "\n")

    rate = matrix_rate(options.device, torch.bfloat16, 64 if options.tiny else None)
    print(f"{rate / 1e12:.2f} TFLOP/s in bfloat16 matrix products")
    print(
        f"{'tokens':>6}  {'way':28}{'batch':>6}{'videos/s':>10}{'tokens/s':>10}{'of rate':>9}{'peak GB':>9}"
    )
    figures: dict[str, Any] = {"matrix_flops": rate, "steps": [], "prediction": []}
    for tokens in options.tokens or ([64, 128] if options.tiny else [2048, 4096]):
        model = _model(tokens, options)
        seconds = _prediction(model, tokens, options)
        figures["prediction"].append({"tokens": tokens, "seconds_per_video": seconds})
        print(f"{tokens:6}  prediction: {seconds:.3f} s a video", flush=True)
        found_so_far()
        for way in sorted(options.ways, key=list(WAYS).index):  # compiled parts stay so: they come late
            if way == IN_4_BITS:
                del model
                model = _model(tokens, options)
                hold_in_4_bits(model)
            found = _fastest(model, way, tokens, rate, options)
            figures["steps"].append(found)
            print(
                f"{tokens:6}  {way:28}{found['videos']:6}{found['videos_per_second']:10.2f}"
                f"{found['tokens_per_second']:10.0f}{found['rate_share']:9.1%}"
                f"{found['peak_bytes'] / 1e9:9.1f}",
                flush=True,
            )
            found_so_far()
        del model
    return figures


def _model(tokens: int, options: argparse.Namespace) -> QualityModel:
    return step_model(
        tokens=tokens,
        step=StepSettings(recompute="none", compile=False),
        device=options.device,
        dtype=torch.bfloat16,
        **(TINY if options.tiny else FULL),
    )


def _fastest(
    model: QualityModel, way: str, tokens: int, rate: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Figures of the batch with the most videos a second, among 1, 2, 4 … that the memory holds."""
    best: dict[str, Any] = {}
    videos, most = 1, options.most_videos or (2 if options.tiny else 16)
    settings = WAYS[way]
    model.packed = PackedDecoder(model.decoder, settings or StepSettings(compile=False))
    model.train()
    while videos <= most:
        try:
            found = _step(
                model, plain_loss if settings is None else packed_loss, tokens, videos, rate, options
            )
        except torch.OutOfMemoryError:
            break
        if found["videos_per_second"] > best.get("videos_per_second", 0.0):
            best = found
        videos *= 2
    if not best:
        raise SystemExit(f"one video of {tokens} tokens does not fit the memory ({way})")
    return {"tokens": tokens, "way": way, **best}


def _step(
    model: QualityModel, loss_of: Loss, tokens: int, videos: int, rate: float, options: argparse.Namespace
) -> dict[str, Any]:
    batch, questions = step_batch(model, videos, tokens, options.device)
    needed = _needed_operations(model, batch, questions)

    def step() -> float:
        _finish(options.device)
        started = time.perf_counter()
        loss_of(model, batch, questions).backward()
        model.zero_grad()
        _finish(options.device)
        return time.perf_counter() - started

    if options.device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    step()
    seconds = statistics.median(step() for _ in range(3))
    on_gpu = options.device.startswith("cuda")
    return {
        "videos": videos,
        "seconds": seconds,
        "videos_per_second": videos / seconds,
        "tokens_per_second": videos * tokens / seconds,
        "rate_share": needed / seconds / rate,
        "peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else 0,
    }


@torch.no_grad()
def _needed_operations(model: QualityModel, batch: list[Features], questions: list[Conversation]) -> float:
    """Of a forward and an input-gradient backward pass over the packed row, projectors left out."""
    config = model.decoder.config
    segments = model.pack(model.visual_tokens(batch), questions).layout.segments
    parameters = sum(
        layer.in_features * layer.out_features
        for layer in model.decoder.get_decoder().layers.modules()
        if isinstance(layer, nn.Linear)
    )
    width = config.num_attention_heads * config.head_dim * config.num_hidden_layers
    attention = sum(2 * s.prefix**2 + 4 * s.tree * s.length for s in segments) * width
    return 4.0 * parameters * sum(s.length for s in segments) + 3.0 * attention


def _prediction(model: QualityModel, tokens: int, options: argparse.Namespace) -> float:
    """Median seconds of a whole prediction: both questions, their distributions and their texts."""
    (video,), _ = step_batch(model, 1, tokens, options.device)
    model.eval()
    seconds = []
    for _ in range(4):
        _finish(options.device)
        started = time.perf_counter()
        predict(model, [video])
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def _finish(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
