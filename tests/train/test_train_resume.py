"""A run that is killed or asked to stop, and continued, ends like one that was left alone."""

import random
import signal
import time
from pathlib import Path

import pytest
import torch
from several_processes import finish, start
from training_set import logged, saving, train, weights

from train.saving.checkpoint import checkpoints

SETTINGS = (
    "pipelines.tiny.training.batch_size=3",
    "pipelines.tiny.training.tokens_per_batch=300",
    "pipelines.tiny.training.validate_every_steps=5",
    "pipelines.tiny.decoder.lora={ rank = 2, dropout = 0.1 }",
)
STEPS = 21


def killed_until_done(folder: Path, name: str, kills: int, seed: int) -> int:
    """Train in a process that is killed at random times; the number of kills it took."""
    chance = random.Random(seed)
    for kill in range(kills):
        (process,) = start(lambda: train(folder, name, *SETTINGS, saving(1)), 1)
        target = min(STEPS - 2, chance.randrange(1, STEPS) * (kill + 1) // kills + 1)
        while process.is_alive() and last_step(folder / name) < target:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        if finish([process]) == [0]:
            return kill
    train(folder, name, *SETTINGS, saving(1))
    return kills


def last_step(run: Path) -> int:
    return max((int(path.name[5:13]) for path in checkpoints(run / "checkpoints")), default=0)


def assert_bit_for_bit(folder: Path, expected: str, found: str) -> None:
    tensors = weights(folder / expected)
    assert tensors.keys() == weights(folder / found).keys()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in weights(folder / found).items())
    for figure in ("loss", "gradient_norm", "validation/srcc"):
        assert logged(folder / found, figure) == logged(folder / expected, figure)
    last = [
        checkpoints(folder / run / "checkpoints")[-1] / "training" / "progress.json"
        for run in (expected, found)
    ]
    assert last[0].read_text() == last[1].read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    assert train(folder, "undisturbed", *SETTINGS).outcome.steps == STEPS
    return folder


def test_a_killed_run_that_is_continued_ends_bit_for_bit_like_an_undisturbed_one(place: Path) -> None:
    assert killed_until_done(place, "killed", kills=2, seed=0) >= 1
    assert_bit_for_bit(place, "undisturbed", "killed")


@pytest.mark.soak
def test_runs_killed_again_and_again_end_bit_for_bit_like_an_undisturbed_one(place: Path) -> None:
    for seed in range(10):
        killed_until_done(place, f"killed-{seed}", kills=6, seed=seed)
        assert_bit_for_bit(place, "undisturbed", f"killed-{seed}")


@pytest.mark.parametrize(("processes", "stop", "status"), [(1, signal.SIGINT, 130), (2, signal.SIGTERM, 143)])
def test_a_run_told_to_stop_saves_its_step_and_says_how_to_go_on(
    place: Path, stop: signal.Signals, status: int, processes: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """One process of several gets the signal; all stop after the same step."""
    from typer import Typer

    from config import cli

    name = f"{stop.name}-{processes}"
    app = Typer(add_completion=False)

    @app.command()
    def command() -> None:
        import train.loop.stepper as module

        take, taken = module.Stepper.take, []

        def signalled(self: module.Stepper, *rest: object) -> module.StepResult:
            taken.append(1)
            if len(taken) == 3 and self._accelerator.is_main_process:
                signal.raise_signal(stop)
            return take(self, *rest)  # type: ignore[arg-type]

        module.Stepper.take = signalled  # type: ignore[method-assign, assignment]
        train(place, name, *SETTINGS)

    def run() -> None:
        import sys

        sys.argv = ["train"]
        cli.run(app)

    assert finish(start(run, processes)) == [status] * processes
    assert last_step(place / name) in (3, 4)
    assert f"stopped by {stop.name} after step" in capfd.readouterr().err
    resumed = train(place, name, *SETTINGS).outcome.resumed_from_step
    assert resumed in (3, 4)
    if processes == 1:
        undisturbed = logged(place / "undisturbed", "loss")
        assert logged(place / name, "loss") == undisturbed
