"""Whether a device computes what the CPU does: losses, gradients and predictions of a small model.

    python benchmarks/device_equality.py [--device cuda] [--json FILE]

Each line compares one way of running the step, or of reading a video, on the device with the same way on the
CPU in float32: the greatest difference over the greatest magnitude, and what is allowed. Ends with status 1
where one is beyond that. The weights are random and the same on both sides.
"""

import argparse
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, Literal

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.plain_step import plain_loss
from benchmarks.step_model import FEATURES, hold_in_4_bits, packed_loss, step_batch, step_model
from benchmarks.stored_run import StoredRun, stored_run
from config.interruption import Interrupted
from config.schema import LoraSettings, StepSettings
from train.answers.conversation import Conversation
from train.data.reader import Features
from train.inference.predict import predict
from train.model.decoder import add_lora
from train.model.distance import FeatureDistance
from train.model.quality import QualityModel

TOKENS = 512
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
    if options.device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    found = compare(options.device, options.ways, options.json)
    sys.exit(not all(each["equal"] for each in found))


def compare(device: str, only: list[str] | None = None, file: Path | None = None) -> list[dict[str, object]]:
    """One entry a way: its name, the greatest relative difference, what is allowed, whether it is met.

    `file` has them as JSON, those so far while others are tried.
    """
    default = StepSettings(recompute="none", compile=False)
    expected = cache(partial(_run, packed_loss, "cpu", default))
    expected_lora = cache(partial(_run, packed_loss, "cpu", default, lora=True))
    ways: dict[str, tuple[Callable[[], Numbers], Callable[[], Numbers], float]] = {}
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
    ways["prediction and texts"] = partial(_read, device), partial(_read, "cpu"), FLOAT32
    mmca = partial(_run, packed_loss, step=default, attention="mmca")
    ways["mmca"] = partial(mmca, device), partial(mmca, "cpu"), FLOAT32
    if find_spec("bitsandbytes") is not None:
        held = partial(_run, packed_loss, step=default, four_bits=True)
        ways["4 bits"] = partial(held, device), partial(held, "cpu"), BFLOAT16
    ways["stopped and continued"] = (
        partial(_trained, device, stop_after=3),
        partial(_trained, device),
        FLOAT32,
    )
    ways["decoder trained whole"] = partial(_losses, device), partial(_losses, "cpu"), FLOAT32
    found: list[dict[str, object]] = []
    for name, (numbers, wanted, allowed) in ways.items():
        if only and not any(part in name for part in only):
            continue
        entry: dict[str, object] = {"way": name, "allowed": allowed}
        try:
            difference = _difference(numbers(), wanted())
            entry |= {"difference": difference, "equal": difference <= allowed}
            print(f"{name:32}{difference:10.1e}  {'equal' if entry['equal'] else 'DIFFERS'}", flush=True)
        except Exception as error:  # noqa: BLE001 (each way is tried)
            entry |= {"equal": False, "error": repr(error)}
            print(f"{name:32}{'':10}  FAILED: {error!r}", flush=True)
            traceback.print_exc()
        found.append(entry)
        if file:
            file.write_text(json.dumps(found, indent=2) + "\n")
    return found


def _model(
    device: str,
    step: StepSettings | None = None,
    *,
    lora: bool = False,
    four_bits: bool = False,
    attention: Literal["causal", "mmca"] = "causal",
    dtype: torch.dtype = torch.float32,
) -> QualityModel:
    """The same random weights every time."""
    step = step or StepSettings(recompute="none", compile=False)
    model = step_model(3, 256, TOKENS, step, vocabulary=512, attention=attention)
    if lora:
        add_lora(model.decoder, LoraSettings(rank=4, dropout=0.0))
        torch.manual_seed(1)
        for name, parameter in model.decoder.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.05)
    model.to(device)
    model.decoder.to(dtype)
    if four_bits:
        hold_in_4_bits(model)
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


def _read(device: str) -> Numbers:
    model = _model(device).eval()
    model.distances.update({name: FeatureDistance(width) for name, width in FEATURES.items()})
    videos, _ = step_batch(model, VIDEOS, TOKENS, "cpu")  # as a reader gives them
    found = predict(model.to(device), videos)
    texts = "\n".join(answer.text or "" for each in found for answer in each.answers.values())
    written = torch.tensor([*texts.encode()], dtype=torch.float32)
    numbers = [[each.score, each.std or 0.0, each.distance] for each in found]
    return {"scores": torch.tensor(numbers), texts: written}


def _trained(device: str, stop_after: int | None = None) -> Numbers:
    """The weights that a short run comes to, which is stopped and continued where asked."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run = _short_run(folder, device)
        if stop_after is not None:
            with suppress(Interrupted), run.trainer(run.model(), folder / "run", stop_after) as (trainer, _):
                trainer.fit()
        model = run.model()
        with run.trainer(model, folder / "run") as (trainer, _):
            outcome = trainer.fit()
        assert (outcome.resumed_from_step is None) == (stop_after is None), outcome
        return {name: p.detach().float().cpu() for name, p in model.projectors.named_parameters()}


def _losses(device: str) -> Numbers:
    """The loss of each step of a short run that trains the whole decoder, from weights drawn on the CPU.

    Not the weights that it comes to: Adam makes whole steps of gradients that are rounding noise, such as
    those of attention's key biases, which are 0 in exact arithmetic.
    """
    with tempfile.TemporaryDirectory() as scratch:
        run = _short_run(Path(scratch), device, "training.groups.decoder=1e-4", "decoder.dtype=float32")
        with run.trainer(run.model(drawn_on="cpu"), Path(scratch) / "run") as (trainer, times):
            trainer.fit()
        return {"loss": torch.tensor([step["loss"] for step in times.steps])}


def _short_run(folder: Path, device: str, *changes: str) -> StoredRun:
    usual = "training.epochs=2", "training.batch_size=4"
    return stored_run(folder, "lmm-vqa-multitask", 12, device, (*usual, *changes), tiny=True)


def _difference(numbers: Numbers, expected: Numbers) -> float:
    if numbers.keys() != expected.keys():
        raise AssertionError(f"only on one side: {numbers.keys() ^ expected.keys()}")
    return max(
        float((numbers[name] - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12))
        for name, wanted in expected.items()
    )


if __name__ == "__main__":
    main()
