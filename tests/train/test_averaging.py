"""The mean of the last epochs' weights is validated and saved; training goes on from its own weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from several_processes import finish, start, together
from training_set import die_after_saving, progress_of, saving, train, weights

from train.loop.averaging import WeightAverage
from train.saving.checkpoint import checkpoints, load_training_state

Each = list[dict[str, torch.Tensor]]
PLAIN = ("pipelines.tiny.training.batch_size=7",)
AVERAGED = (*PLAIN, "pipelines.tiny.training.average_last_epochs=2")
STEPS, OF_THEM = 9, 6


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an averaged run in it."""
    folder = tmp_path_factory.mktemp("averaging")
    train(folder, "averaged", *AVERAGED)
    return folder


@pytest.fixture(scope="module")
def after_each_step(place: Path) -> Each:
    """The weights of the same training without averaging, after each of its steps."""
    import train.loop.trainer as module

    take, found = module.Stepper.take, []

    def noted(self: Any, *rest: Any) -> Any:
        result = take(self, *rest)
        own = self._model.named_parameters()
        found.append({name: p.detach().clone() for name, p in own if p.requires_grad})
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Stepper, "take", noted)
        train(place, "plain", *PLAIN)
    return found


def test_the_saved_weights_are_the_mean_over_the_last_epochs_steps(
    place: Path, after_each_step: Each
) -> None:
    assert len(after_each_step) == STEPS
    averaged, plain = weights(place / "averaged"), weights(place / "plain")
    for name, last in after_each_step[-1].items():
        mean = torch.stack([tensors[name] for tensors in after_each_step[-OF_THEM:]]).mean(dim=0)
        torch.testing.assert_close(averaged[name], mean, atol=1e-6, rtol=1e-5)
        assert torch.equal(plain[name], last) and not torch.equal(averaged[name], last)


def test_training_goes_on_from_its_own_weights(place: Path, after_each_step: Each) -> None:
    state = load_training_state(checkpoints(place / "averaged" / "checkpoints")[-1])["average"]
    last = after_each_step[-1].values()
    assert all(torch.equal(own, other) for own, other in zip(state["weights"], last, strict=True))


@pytest.mark.usefixtures("after_each_step")
def test_validation_says_of_how_many_steps_the_weights_are_the_mean(place: Path) -> None:
    averaged, plain = progress_of(place / "averaged"), progress_of(place / "plain")
    assert [entry["averaged_steps"] for entry in averaged] == [0, 3, OF_THEM]
    assert averaged[0]["srcc"] == plain[0]["srcc"] and averaged[-1]["plcc"] != plain[-1]["plcc"]
    assert "averaged_steps" not in plain[0]
    card = checkpoints(place / "averaged" / "checkpoints")[-1] / "README.md"
    assert "averaged_steps" in card.read_text()


@pytest.mark.parametrize("killed_after", [*(pytest.param(n, marks=pytest.mark.soak) for n in (2, 5)), 8])
def test_a_killed_run_that_is_continued_has_the_same_mean_bit_for_bit(place: Path, killed_after: int) -> None:
    often, name = (*AVERAGED, saving(killed_after)), f"killed-{killed_after}"

    def begin() -> None:
        die_after_saving(killed_after)
        train(place, name, *often)

    assert finish(start(begin, 1)) == [7]
    assert train(place, name, *often).outcome.resumed_from_step == killed_after
    expected = weights(place / "averaged")
    assert all(torch.equal(tensor, expected[key]) for key, tensor in weights(place / name).items())
    assert progress_of(place / name) == progress_of(place / "averaged")


def test_two_processes_have_the_mean_of_one(place: Path) -> None:
    slow = (*AVERAGED, "pipelines.tiny.training.learning_rate=1e-4")  # as in test_train_processes.py
    train(place, "alone", *slow)
    together(lambda: train(place, "two", *slow))
    expected = weights(place / "alone")
    for name, tensor in weights(place / "two").items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=0)
    for one, other in zip(progress_of(place / "alone"), progress_of(place / "two"), strict=True):
        assert other == pytest.approx(one, abs=1e-4)


def test_a_models_own_weights_come_back_after_the_mean_and_after_an_error() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    average = WeightAverage([parameter])
    with average.in_place():
        assert average.steps == 0 and average.state_dict() == {}
    for value in (1.0, 3.0):
        parameter.data.fill_(value)
        average.add()
    with pytest.raises(KeyboardInterrupt), average.in_place():
        assert parameter.tolist() == [2.0, 2.0]
        raise KeyboardInterrupt
    assert parameter.tolist() == [3.0, 3.0] and average.steps == 2
