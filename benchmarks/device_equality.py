"""Whether a device computes what the CPU does: losses, gradients and predictions of a small model.

    python benchmarks/device_equality.py [--device cuda] [--json FILE]

Each line compares one way of running the step, or of reading a video, on the device with the same way on the
CPU in float32: the greatest difference over the greatest magnitude, and what is allowed. Ends with status 1
where one is beyond that. The weights are random and the same on both sides.
"""

import argparse
import json
import sys
import traceback
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.plain_step import plain_loss
from benchmarks.step_model import packed_loss, step_batch, step_model
from config.schema import LoraSettings, StepSettings
from train.answers.conversation import Conversation
from train.data.reader import Features
from train.inference.predict import predict
from train.model.decoder import add_lora
from train.model.quality import QualityModel

TOKENS = 1024
VIDEOS = 3
Numbers = dict[str, torch.Tensor]
Loss = Callable[[QualityModel, list[Features], list[Conversation]], torch.Tensor]
FLOAT32, BFLOAT16 = 2e-4, 6e-2
"""Allowed differences: float32 without TF32, and bfloat16 weights beside float32 ones."""


def main() -> None:
    """Compare, print, and write the differences as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--ways", nargs="+", default=None, help="only those whose names contain one of these")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    found = compare(options.device, options.ways)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    sys.exit(not all(each["equal"] for each in found))


def compare(device: str, only: list[str] | None = None) -> list[dict[str, object]]:
    """One entry a way: its name, the greatest relative difference, what is allowed, whether it is met."""
    default = StepSettings(recompute="none", compile=False)
    expected, expected_lora = _step(_model("cpu"), packed_loss), _step(_model("cpu", lora=True), packed_loss)
    ways: dict[str, tuple[Callable[[], Numbers], Numbers, float]] = {}
    for attention, recompute in product(("segments", "dense"), ("none", "layers", "auto")):
        step = StepSettings(attention=attention, recompute=recompute, compile=False)  # type: ignore[arg-type]
        run = partial(_run, packed_loss, device, step)
        ways[f"{attention}, recompute {recompute}"] = run, expected, FLOAT32
    for recompute in ("none", "layers"):
        step = StepSettings(recompute=recompute, compile=False)  # type: ignore[arg-type]
        run = partial(_run, packed_loss, device, step, lora=True)
        ways[f"LoRA, recompute {recompute}"] = run, expected_lora, FLOAT32
    for name, loss_of in {"packed": packed_loss, "plain": plain_loss}.items():
        ways[f"{name} in float32"] = partial(_run, loss_of, device, default), expected, FLOAT32
        half = partial(_run, loss_of, device, default, dtype=torch.bfloat16)
        ways[f"{name} in bfloat16"] = half, expected, BFLOAT16
    compiled = StepSettings(recompute="none", compile=True)
    ways["compiled"] = partial(_run, packed_loss, device, compiled), expected, FLOAT32
    ways["prediction"] = lambda: _read(_model(device)), _read(_model("cpu")), FLOAT32
    found: list[dict[str, object]] = []
    for name, (numbers, wanted, allowed) in ways.items():
        if only and not any(part in name for part in only):
            continue
        entry: dict[str, object] = {"way": name, "allowed": allowed}
        try:
            difference = _difference(numbers(), wanted)
            entry |= {"difference": difference, "equal": difference <= allowed}
            print(f"{name:32}{difference:10.1e}  {'equal' if entry['equal'] else 'DIFFERS'}", flush=True)
        except Exception as error:  # noqa: BLE001 (each way is tried)
            entry |= {"equal": False, "error": repr(error)}
            print(f"{name:32}{'':10}  FAILED: {error!r}", flush=True)
            traceback.print_exc()
        found.append(entry)
    return found


def _model(
    device: str,
    step: StepSettings | None = None,
    *,
    lora: bool = False,
    dtype: torch.dtype = torch.float32,
) -> QualityModel:
    """The same random weights every time."""
    model = step_model(3, 256, TOKENS, step or StepSettings(recompute="none", compile=False), vocabulary=512)
    if lora:
        add_lora(model.decoder, LoraSettings(rank=4, dropout=0.0))
        torch.manual_seed(1)
        for name, parameter in model.decoder.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.05)
    model.to(device)
    model.decoder.to(dtype)
    return model


def _run(loss_of: Loss, device: str, step: StepSettings, **how: Any) -> Numbers:
    return _step(_model(device, step, **how), loss_of)


def _step(model: QualityModel, loss_of: Loss) -> Numbers:
    """The loss, and the gradient of everything that trains."""
    batch, questions = step_batch(model, VIDEOS, TOKENS, str(next(model.parameters()).device))
    model.zero_grad()
    loss = loss_of(model, batch, questions)
    loss.backward()
    gradients = {n: p.grad.float().cpu() for n, p in model.named_parameters() if p.grad is not None}
    return {"loss": loss.detach().float().cpu()[None], **gradients}


def _read(model: QualityModel) -> Numbers:
    model.eval()
    videos, _ = step_batch(model, VIDEOS, TOKENS, str(next(model.parameters()).device))
    found = predict(model, videos)
    return {"scores": torch.tensor([[each.score, each.std or 0.0] for each in found])}


def _difference(numbers: Numbers, expected: Numbers) -> float:
    if numbers.keys() != expected.keys():
        raise AssertionError(f"only on one side: {numbers.keys() ^ expected.keys()}")
    return max(
        float((numbers[name] - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12))
        for name, wanted in expected.items()
    )


if __name__ == "__main__":
    main()
