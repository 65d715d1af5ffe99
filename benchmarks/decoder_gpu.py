"""Training and prediction at Llama-3-8B's size, through the Trainer, with videos as long as LSVQ's.

    python benchmarks/decoder_gpu.py [--way packed] [--pipeline lmm-vqa-multitask] [--steps 8] [--json FILE]

Features in the shapes that `pipelines.toml` gives (CLIP: 256 tokens a second, SlowFast: 256) of videos of 5
to 12 s are written to a store, and a run of the pipeline trains on them, shuffled: reading, pooling,
projectors, passes of `tokens_per_batch`, the optimiser. The decoder has random weights, made on the device.
Ways: `packed` is the pipeline's own; `plain` a right-padded row for each question, full logits, transformers'
attention, with as many tokens a pass as the memory holds; `4bit` packed, with NF4 weights. The share of the
device's matrix rate counts what the step needs (train/loop/meter.py, with causal attention). `--prediction`
also times predictions. `--tiny` runs the same code on a model of no size, on any device.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.encoders import matrix_rate
from benchmarks.plain_step import plain_losses
from benchmarks.step_model import hold_in_4_bits
from benchmarks.stored_run import StepTimes, StoredRun, stored_run
from train.errors import MemoryExhaustedError
from train.inference.predict import predict
from train.loop.meter import attention_flops, training_flops_per_token
from train.loop.trainer import Trainer
from train.model.quality import QualityModel

WAYS = ("packed", "plain", "4bit")
PLAIN_PASSES = (8400, 6500)
"""Tokens of the plain way's passes that are tried: two videos of 8 s, one of 12 s."""
_WARM_UP = 2
"""Steps that do not count: layers are compiled and measured in them."""


def main() -> None:
    """Measure, print, and write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--way", choices=WAYS, default="packed")
    parser.add_argument("--pipeline", default="lmm-vqa-multitask")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--prediction", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.device == "cpu":
        if not options.tiny:
            parser.error("without a GPU, only --tiny finishes")
        os.environ["ACCELERATE_USE_CPU"] = "true"
    if options.way == "4bit" and find_spec("bitsandbytes") is None:
        print("4 bits are not measured: bitsandbytes is not installed")
        return
    figures = measure(options)
    print(
        f"{options.pipeline}, {options.way}: {figures['videos_per_second']:.2f} videos/s,"
        f" {figures['rate_share']:.1%} of the matrix rate, {figures['peak_bytes'] / 1e9:.1f} GB"
    )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one way."""
    videos, size = options.steps * options.batch_size, f"training.batch_size={options.batch_size}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        changes = [size, "training.epochs=1"]
        if options.way != "plain":
            run = stored_run(folder, options.pipeline, videos, options.device, changes, tiny=options.tiny)
            return _trained(run, options, folder / "run")
        for budget in PLAIN_PASSES:
            passes = [*changes, f"training.tokens_per_batch={budget}", "training.step.compile=false"]
            place = folder / str(budget)
            place.mkdir()
            run = stored_run(place, options.pipeline, videos, options.device, passes, tiny=options.tiny)
            try:
                return {**_trained(run, options, place / "run"), "tokens_a_pass": budget}
            except MemoryExhaustedError as error:
                print(f"{budget} tokens a pass: {str(error).splitlines()[0]}", flush=True)
                torch.cuda.empty_cache()
    raise SystemExit("the plain way does not hold one video of 12 s")


def _trained(run: StoredRun, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    model = run.model()
    with run.trainer(model, folder) as (trainer, times):
        return _figures(run, options, model, trainer, times)


def _figures(
    run: StoredRun, options: argparse.Namespace, model: QualityModel, trainer: Trainer, times: StepTimes
) -> dict[str, Any]:
    needed = [
        count * training_flops_per_token(model.decoder) + attention_flops(model.decoder, count)
        for count in trainer.tokens
    ]
    if options.way == "plain":
        model.forward = partial(plain_losses, model)  # type: ignore[method-assign]
    elif options.way == "4bit":
        hold_in_4_bits(model)
    rate = matrix_rate(options.device, torch.bfloat16, 64 if options.tiny else None)
    if options.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    trainer.fit()
    seconds = [options.batch_size / step["speed/videos_per_second"] for step in times.steps[_WARM_UP:]]
    figures = {
        "pipeline": options.pipeline,
        "way": options.way,
        "device": torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device,
        "matrix_flops": rate,
        "videos_per_second": options.batch_size * len(seconds) / sum(seconds),
        "rate_share": statistics.fmean(needed) * options.batch_size * len(seconds) / sum(seconds) / rate,
        "step_seconds": seconds,
        "tokens_a_video": statistics.fmean(trainer.tokens),
        "losses": [step["loss"] for step in times.steps],
        "peak_bytes": max(step["memory/peak_gib"] for step in times.steps) * 2**30,
    }
    if options.prediction:
        figures["prediction_seconds"] = _prediction(run, model, options.device)
    return figures


def _prediction(run: StoredRun, model: QualityModel, device: str) -> float:
    """Median seconds of a whole prediction of a video: all questions, their distributions and their texts."""
    reader, seconds = run.samples["LSVQ"].reader, []
    video = {branch: tokens.to(device) for branch, tokens in reader.read("v0").items()}
    model.eval()
    for _ in range(4):
        started = time.perf_counter()
        predict(model, [video])
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
