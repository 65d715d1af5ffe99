"""One process, accumulation, several processes and a sharded decoder take the same steps."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from several_processes import finish, start, together
from training_set import die_after_saving, logged, progress_of, train, weights

STEPS = (
    "pipelines.tiny.training.epochs=2",
    "pipelines.tiny.training.batch_size=7",
    "pipelines.tiny.training.learning_rate=2e-4",  # Adam divides a gradient near 0 by another near 0
    "pipelines.tiny.decoder.lora={ rank = 2, dropout = 0.0 }",
)
BUDGET = "pipelines.tiny.training.tokens_per_batch=300"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one process's run, with noise and dropout, in it."""
    folder = tmp_path_factory.mktemp("processes")
    train(folder, "alone", *STEPS)
    return folder


def assert_same_run(folder: Path, name: str) -> None:
    expected, found = logged(folder / "alone", "loss"), logged(folder / name, "loss")
    assert found.keys() == expected.keys() and len(found) == 6
    assert [found[step] for step in found] == pytest.approx([expected[step] for step in found], abs=1e-5)
    tensors = weights(folder / "alone")
    for key, tensor in weights(folder / name).items():
        torch.testing.assert_close(tensor, tensors[key], atol=1e-5, rtol=0)
    for one, other in zip(progress_of(folder / "alone"), progress_of(folder / name), strict=True):
        assert other == pytest.approx(one, abs=1e-4)


def test_passes_within_a_token_budget_add_up_to_the_step_of_one_pass(place: Path) -> None:
    train(place, "budget", *STEPS, BUDGET)
    assert_same_run(place, "budget")


def test_two_processes_take_the_steps_of_one(place: Path) -> None:
    together(lambda: train(place, "two", *STEPS, BUDGET))
    assert_same_run(place, "two")


def test_three_processes_of_which_some_have_no_video_take_the_steps_of_one(place: Path) -> None:
    together(lambda: train(place, "three", *STEPS), processes=3)
    assert_same_run(place, "three")


def test_processes_that_share_the_decoders_layers_take_the_steps_of_one(place: Path) -> None:
    def sharded() -> None:
        from torch.distributed.tensor import DTensor

        import train.loop.trainer as module

        seen: list[bool] = []
        plain = module.place

        def noted(model: Any, *rest: Any) -> None:
            plain(model, *rest)
            layers = model.decoder.get_decoder().layers
            seen.extend(isinstance(p, DTensor) == (not p.requires_grad) for p in layers.parameters())
            assert not any(isinstance(p, DTensor) for p in model.projectors.parameters())

        module.place = noted
        train(place, "sharded", *STEPS, BUDGET, "pipelines.tiny.training.shard_decoder=true")
        assert seen and all(seen)

    together(sharded)
    assert_same_run(place, "sharded")


def test_a_run_that_one_process_began_is_continued_by_two(place: Path) -> None:
    saved_often = (*STEPS, "pipelines.tiny.training.save_every_steps=4")

    def begin() -> None:
        die_after_saving(4)
        train(place, "moved", *saved_often)

    assert finish(start(begin, 1)) == [7]
    together(lambda: train(place, "moved", *saved_often))
    assert_same_run(place, "moved")


def test_a_loss_that_is_no_number_in_one_process_stops_all(place: Path) -> None:
    from train.errors import DivergedError

    def diverges() -> None:
        with pytest.raises(DivergedError, match=r"the videos: v\d"):
            train(place, "diverged", *STEPS, "pipelines.tiny.training.learning_rate=1e30")

    together(diverges)


@pytest.mark.soak
@pytest.mark.parametrize("shard", ["false", "true"])
def test_what_a_launcher_starts_takes_the_steps_of_one(place: Path, shard: str) -> None:
    """torchrun, as `accelerate launch` starts it on GPUs; on a CPU accelerate's own needs MPI."""
    name = f"launched-{shard}"
    overrides = [*STEPS, BUDGET, f"pipelines.tiny.training.shard_decoder={shard}"]
    script = Path(__file__).parents[1].joinpath("training_set.py")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    paths = os.pathsep.join([str(script.parents[1]), str(script.parent)])
    subprocess.run(
        [sys.executable, *launch, str(script), str(place), name, *overrides],
        env={**os.environ, "PYTHONPATH": paths, "ACCELERATE_USE_CPU": "true"},
        check=True,
    )
    assert_same_run(place, name)
