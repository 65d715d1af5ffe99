"""Several members: each trains as it would alone, and the model's answer is the mean of theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from random_models import SHAPES, Question, asked, digit_by_digit, model_of, uncached, videos
from several_processes import finish, start
from tiny_language import WIDTH, quality_tasks
from training_set import (
    die_after_saving,
    logged,
    make_features,
    progress_of,
    run_settings,
    saving,
    train,
    weights,
)
from transformers import TextStreamer

from config.schema import ProjectorSettings, RegressionSettings
from train.errors import RunError, TrainError
from train.inference.chat import reply
from train.inference.predict import expected_scores, predict
from train.inference.reading import Reading, answer
from train.job import dataset_part, run_samples, train_run
from train.loop.lengths import sequence_tokens
from train.model.build import build_model
from train.model.members import each, gathered
from train.model.projectors import Projector
from train.model.quality import QualityModel
from train.model.regression import RegressionModel, VideoModel
from train.plan.plan import make_plan
from train.pretrained import from_pretrained
from train.saving.checkpoint import export

MEMBERS = 3
TASKS = ("score", "level")
QUESTIONS = [Question(0, "score", 0, 90), Question(1, "level", 0, "good"), Question(1, "score", 0, 10)]
TINY = "pipelines.tiny"
THREE = f"{TINY}.members={MEMBERS}"
PLAIN = tuple(
    f"{TINY}.{setting}"
    for setting in (
        "training.gradient_clip=1e9",
        "training.select=last",
        *(
            f"branches.{branch}.projector.{what}=0"
            for branch in ("spatial", "temporal")
            for what in ("dropout", "noise")
        ),
    )
)


def projectors(seed: int, width: int = WIDTH) -> dict[str, torch.nn.Module]:
    torch.manual_seed(seed)
    settings = ProjectorSettings(kind="mlp", hidden=(8,))
    members = [
        {name: Projector(settings, *shape, width, 1.0) for name, shape in SHAPES.items()}
        for _ in range(MEMBERS)
    ]
    return {name: gathered([own[name] for own in members]) for name in SHAPES}


def of_members(kind: str = "llama", **changes: Any) -> QualityModel:
    model = model_of(kind, **{"initializer_range": 0.3, **changes})
    model.projectors = torch.nn.ModuleDict(projectors(5))
    return model


@contextmanager
def alone(model: VideoModel, member: int) -> Iterator[None]:
    """Within the block the model is that member."""
    names = [name for name in ("projectors", "pools", "head") if hasattr(model, name)]
    before = {name: getattr(model, name) for name in names}
    for name, part in before.items():
        own = each(part)[member] if name == "head" else {k: each(v)[member] for k, v in part.items()}
        setattr(model, name, torch.nn.ModuleDict(own) if isinstance(own, dict) else own)
    try:
        yield
    finally:
        for name, part in before.items():
            setattr(model, name, part)


@pytest.mark.slow
@pytest.mark.parametrize("spelled", [False, True])
@torch.inference_mode()
def test_probabilities_are_the_mean_of_the_members_own(spelled: bool) -> None:
    model = digit_by_digit(of_members()) if spelled else of_members()
    batch = videos(2, 3)
    together = [answer(model, visual, TASKS) for visual in model.visual_tokens(batch)]
    own: list[list[dict[str, Any]]] = []
    for member in range(MEMBERS):
        with alone(model, member):
            own.append([answer(model, visual, TASKS) for visual in model.visual_tokens(batch)])
    for number, answers in enumerate(together):
        for task in TASKS:
            found = torch.stack([member[number][task].probabilities for member in own])
            torch.testing.assert_close(answers[task].probabilities, found.mean(dim=0), atol=1e-6, rtol=1e-5)
            assert float((found - found.mean(dim=0)).abs().max()) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
@pytest.mark.parametrize("seed", range(3))
@torch.inference_mode()
def test_text_is_the_likeliest_under_the_mean_of_the_distributions(kind: str, seed: int) -> None:
    model = of_members(kind)
    torch.manual_seed(seed)
    visual = torch.randn(MEMBERS, 9, WIDTH)
    end = model.prompts.chat.end_of_turn
    answers = answer(model, visual, TASKS)
    for task in TASKS:
        written: list[int] = []
        for _ in range(model.prompts.answer_tokens(task) + 16):
            each_ones = torch.stack([uncached(model, own, task, written).softmax(dim=0) for own in visual])
            written.append(int(each_ones.mean(dim=0).argmax()))
            if written[-1] == end:
                break
        assert answers[task].text == model.prompts.chat.text(written)


@torch.inference_mode()
def test_a_reply_is_the_likeliest_text_too_and_is_streamed(capsys: pytest.CaptureFixture[str]) -> None:
    model, (video,) = of_members(), videos(3)
    expected = answer(model, model.visual_tokens([video])[0], ["level"])["level"].text
    messages = model.prompts.conversation("level").messages
    options: dict[str, Any] = {"max_new_tokens": model.prompts.answer_tokens("level") + 16}
    streamer = TextStreamer(model.prompts.chat.tokenizer, skip_special_tokens=True)
    said = reply(model, [video], messages, streamer=streamer, **options)
    assert said == expected and said.split() == capsys.readouterr().out.split()
    with pytest.raises(TrainError, match=r"3 members \(pipelines.NAME.members\).* leave out do_sample"):
        reply(model, [video], messages, do_sample=True)


def test_predictions_do_not_depend_on_other_videos_by_a_single_bit() -> None:
    model, batch = of_members(), videos(3, 1, 5)
    together = predict(model, batch)
    assert together == [predict(model, [video])[0] for video in batch]
    visual = model.visual_tokens(batch[:1])[0]
    probabilities = Reading(model, visual, ["score"]).probabilities("score")
    assert expected_scores(model, [visual])[0] == pytest.approx(float(probabilities @ torch.arange(101.0)))


def regression() -> RegressionModel:
    found = projectors(7, width=16)
    settings = RegressionSettings(width=16, hidden=(8,), pooling="attention", dropout=0)
    return RegressionModel(found, settings, quality_tasks()).eval()


@pytest.mark.parametrize("made", [of_members, regression])
def test_the_loss_and_gradients_are_those_of_the_members_alone(made: Any) -> None:
    model, batch = made(), videos(2, 3)
    losses = model(batch, asked(model, QUESTIONS))
    losses.mean().backward()
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    total = torch.zeros(len(QUESTIONS))
    for member in range(MEMBERS):
        with alone(model, member):
            own = model(batch, asked(model, QUESTIONS))
            own.mean().backward()
            total += own.detach()
    torch.testing.assert_close(losses.detach(), total, atol=1e-5, rtol=1e-5)
    expected = [p.grad for p in model.parameters() if p.grad is not None]
    for gradient, other in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-5, rtol=1e-4)
    assert [len(own) for own in model.clipped_together()] == [len(expected) // MEMBERS] * MEMBERS


@torch.inference_mode()
def test_the_regression_answers_the_mean_of_numbers_and_of_words_probabilities() -> None:
    model, batch = regression(), videos(2, 3)
    together, own = model.outputs(model.visual_tokens(batch)), []
    for member in range(MEMBERS):
        with alone(model, member):
            own.append(model.outputs(model.visual_tokens(batch)))
    numbers = torch.stack([outputs["score"] for outputs in own]).mean(dim=0)
    words = torch.stack([outputs["level"].softmax(dim=-1) for outputs in own]).mean(dim=0)
    torch.testing.assert_close(together["score"], numbers)
    torch.testing.assert_close(together["level"].softmax(dim=-1), words)
    assert predict(model, batch) == [predict(model, [video])[0] for video in batch]


@pytest.mark.parametrize("head", ["decoder", pytest.param("regression", marks=pytest.mark.slow)])
def test_members_trained_together_are_each_as_trained_alone(
    tmp_path: Path, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each starts from its own initial weights; batches are the same, nothing is drawn."""
    import train.job as module

    settings = (*PLAIN, f"{TINY}.head={head}", f"{TINY}.regression.dropout=0")
    build = module.build_model
    train(tmp_path, "together", *settings, THREE)
    together = weights(tmp_path / "together")
    for member in range(MEMBERS):

        def one(pipeline: Any, *rest: Any, member: int = member) -> VideoModel:
            whole = build(pipeline.model_copy(update={"members": MEMBERS}), *rest)
            single = build(pipeline, *rest)
            with alone(whole, member):
                state = {k: v for k, v in whole.state_dict().items() if not k.startswith("decoder.")}
                single.load_state_dict(state, strict=False)
            return single

        monkeypatch.setattr(module, "build_model", one)
        train(tmp_path, f"alone-{member}", *settings)
        monkeypatch.undo()
        for name, tensor in weights(tmp_path / f"alone-{member}").items():
            front, behind = (name.split(".", 1)[0], name.split(".", 1)[1])
            if front != "head":
                branch, behind = behind.split(".", 1)
                front = f"{front}.{branch}"
            saved_with = 0 if behind.startswith("standardise.") else member
            torch.testing.assert_close(together[f"{front}.{saved_with}.{behind}"], tensor, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of three members, whose last two epochs are averaged."""
    folder = tmp_path_factory.mktemp("members")
    train(folder, "run", THREE, *AVERAGED)
    return folder


AVERAGED = (
    f"{TINY}.training.average_last_epochs=2",
    f"{TINY}.training.tokens_per_batch=900",
    f"{TINY}.branches.spatial.distance=true",
)


def test_members_differ_but_for_the_statistics_which_are_saved_once(place: Path) -> None:
    tensors = weights(place / "run")
    names = [name for name in tensors if name.startswith("projectors.spatial.0.")]
    for name in names:
        first, second = tensors[name], tensors.get(name.replace(".0.", ".1.", 1))
        if ".standardise." in name:
            assert second is None
        else:
            assert second is not None and torch.equal(first, second) == name.endswith(".scale")
    assert {name.split(".")[2] for name in tensors if name.startswith("projectors.")} == {"0", "1", "2"}


def test_saved_statistics_are_those_of_every_member(place: Path) -> None:
    members = each(from_pretrained(place / "run").model.projectors["spatial"])
    mean = weights(place / "run")["projectors.spatial.0.standardise.mean"]
    assert len(members) == MEMBERS and mean.any()
    assert all(torch.equal(member.standardise.mean, mean) for member in members)  # type: ignore[union-attr]


@pytest.mark.slow
def test_the_first_member_begins_and_draws_as_the_only_one(tmp_path: Path) -> None:
    """With a clip for each member, it trains as it would alone with its dropout and noise."""
    settings = (f"{TINY}.training.gradient_clip=0.05", f"{TINY}.training.select=last")
    train(tmp_path, "one", *settings)
    train(tmp_path, "three", *settings, THREE)
    assert min(logged(tmp_path / "one", "gradient_norm").values()) > 0.05
    three = weights(tmp_path / "three")
    for name, tensor in weights(tmp_path / "one").items():
        _, branch, rest = name.split(".", 2)
        torch.testing.assert_close(three[f"projectors.{branch}.0.{rest}"], tensor, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "killed_after", [pytest.param(4, marks=pytest.mark.soak), pytest.param(8, marks=pytest.mark.slow)]
)
def test_a_killed_run_that_is_continued_ends_bit_for_bit_the_same(place: Path, killed_after: int) -> None:
    def begin() -> None:
        die_after_saving(killed_after)
        train(place, f"killed-{killed_after}", THREE, *AVERAGED, saving(killed_after))

    assert finish(start(begin, 1)) == [7]
    run = train(place, f"killed-{killed_after}", THREE, *AVERAGED, saving(killed_after))
    assert run.outcome.resumed_from_step == killed_after
    expected = weights(place / "run")
    for name, tensor in weights(place / f"killed-{killed_after}").items():
        assert torch.equal(tensor, expected[name])
    assert progress_of(place / f"killed-{killed_after}") == progress_of(place / "run")


def test_it_is_published_loaded_and_fine_tuned_with_as_many_members(place: Path) -> None:
    export(place / "run", place / "model")
    trained, again = from_pretrained(place / "run"), from_pretrained(place / "model")
    assert trained.model.members == again.model.members == MEMBERS
    videos = [{"spatial": torch.randn(2, 1, 6), "temporal": torch.randn(2, 1, 3)}]
    assert trained.predict(videos) == again.predict(videos)
    assert trained.predict(videos)[0].distance is not None
    store, split = make_features(place)
    for members, refused in ((MEMBERS, False), (1, True)):
        settings = run_settings(place, f"{TINY}.members={members}", f"{TINY}.training.epochs=1")
        target = place / f"from-{members}"
        if refused:
            with pytest.raises(RunError, match=r"has 3 members \(pipelines.NAME.members\).* with 1 cannot"):
                train_run(settings, store, {"demo": split}, target, quiet=True, start=place / "model")
        else:
            train_run(settings, store, {"demo": split}, target, quiet=True, start=place / "model")


def test_a_plan_counts_every_members_tokens(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    plans = []
    for changes in ((), (THREE,)):
        settings = run_settings(tmp_path, *changes)
        samples = run_samples(settings, store, {"demo": split})
        model = build_model(settings.pipeline, settings.tasks, samples["demo"].reader.shapes())
        tokens = sequence_tokens(dataset_part(samples, "train"), model, settings.pipeline.tasks)
        plan = make_plan(settings, store, {"demo": split})
        assert plan.memory.tokens > 0.9 * 8 / len(tokens) * sum(tokens)
        plans.append((plan, sum(tokens)))
    (one, few), (three, many) = plans
    assert many == MEMBERS * few and three.memory.tokens == MEMBERS * one.memory.tokens
    assert three.operations.training == pytest.approx(MEMBERS * one.operations.training)
    assert three.trained == {name: MEMBERS * count for name, count in one.trained.items()}
    assert three.memory.layer_token == pytest.approx(one.memory.layer_token)
    assert "for each of 3 members" in "\n".join(three.lines())
    assert "members" not in "\n".join(one.lines())
