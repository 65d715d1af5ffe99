"""The regression baseline: its losses, its pooling, and a run of it from training to evaluation."""

import json
from pathlib import Path

import pytest
import torch
from random_models import Question, asked
from tiny_language import quality_tasks
from torch.nn import functional
from training_set import make_features, train

from config.schema import ProjectorSettings, RegressionSettings
from evaluate.report.publish import publish
from evaluate.results.run import evaluate_run
from evaluate.scoring.model import load_trained
from train.answers.levels import Levels
from train.inference.predict import predict
from train.model.projectors import Projector
from train.model.regression import AttentionPool, RegressionModel
from train.pretrained import from_pretrained
from train.saving.checkpoint import export
from train.saving.labels import load_labels

SHAPES = {"spatial": (5, 7), "temporal": (2, 3)}
CUTS = Levels(("poor", "fair", "good"), (33.0, 66.0))
LEVELS = CUTS.words
REGRESSION = "pipelines.tiny.head=regression"


def small(pooling: str = "mean", *tasks: str) -> RegressionModel:
    settings = RegressionSettings.model_validate(
        {"width": 16, "hidden": [8], "pooling": pooling, "dropout": 0}
    )
    torch.manual_seed(0)
    projectors = {
        name: Projector(ProjectorSettings(kind="mlp"), *shape, 16, 1.0) for name, shape in SHAPES.items()
    }
    chosen = {name: task for name, task in quality_tasks().items() if name in (tasks or ("score", "level"))}
    return RegressionModel(projectors, settings, chosen)


def videos(*lengths: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [
        {name: torch.randn(k, *shape, generator=generator) for name, shape in SHAPES.items()} for k in lengths
    ]


def test_each_question_has_its_own_loss() -> None:
    model, batch = small(), videos(3, 1)
    questions = [Question(0, "score", 0, 90), Question(1, "level", 0, "good"), Question(1, "score", 0, 10)]
    with torch.inference_mode():
        losses = model(batch, asked(model, questions))
        outputs = model.outputs(model.visual_tokens(batch))
    scores, levels = outputs["score"], outputs["level"]
    assert losses.shape == (3,) and losses.dtype == torch.float32
    for at, video, target in ((0, 0, 90), (2, 1, 10)):
        error = abs(float(scores[video]) - target) / 100
        assert error > 0.1
        assert losses[at].item() == pytest.approx(error - 0.05, abs=1e-6)
    good = functional.cross_entropy(levels[1:2], torch.tensor([LEVELS.index("good")]))
    assert losses[1].item() == pytest.approx(good.item(), abs=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_everything_trains_and_is_counted(pooling: str) -> None:
    model = small(pooling)
    model(
        videos(3, 1), asked(model, [Question(0, "score", 0, 90), Question(1, "level", 0, "good")])
    ).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    head = 2 * 16 * 8 + 8 + 8 * 4 + 4 + (2 * 16 if pooling == "attention" else 0)
    assert model.trainable_parameters() == {"spatial": 7 * 16 + 16, "temporal": 3 * 16 + 16, "head": head}


def test_attention_begins_as_the_mean_and_then_weighs() -> None:
    pool, tokens = AttentionPool(16), torch.randn(9, 16)
    torch.testing.assert_close(pool(tokens), tokens.mean(dim=0))
    with torch.no_grad():
        pool.query.copy_(1e4 * tokens[4])
    nearest = tokens[int((tokens @ tokens[4]).argmax())]
    torch.testing.assert_close(pool(tokens), nearest)


def test_a_videos_prediction_does_not_depend_on_the_batch_and_has_no_text() -> None:
    model, batch = small().eval(), videos(3, 1, 5)
    together = predict(model, batch)
    for video, expected in zip(batch, together, strict=True):
        (alone,) = predict(model, [video])
        assert (alone.score, alone.level) == (expected.score, expected.level)
        assert (alone.std, alone.score_generate, alone.text) == (None, None, None)
    (without,) = predict(small("mean", "score").eval(), batch[:1], CUTS)
    assert without.score is not None and without.level == CUTS.level(without.score)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regression")
    # No decoder is there, nor needed.
    train(
        folder,
        "run",
        REGRESSION,
        "pipelines.tiny.training.epochs=30",
        "pipelines.tiny.decoder.weights=./none",
    )
    return folder


def test_the_same_trainer_learns_scores_without_a_decoder(place: Path) -> None:
    trained = load_trained(place / "run")
    assert isinstance(trained.model, RegressionModel) and trained.run.decoder is None
    card = (trained.checkpoint / "README.md").read_text()
    assert "regression baseline" in card and "RANDOM" not in card
    progress = json.loads((trained.checkpoint / "training" / "progress.json").read_text())
    assert progress["best_srcc"] > 0.6


def test_it_is_evaluated_and_exported_like_any_other(place: Path) -> None:
    store, _ = make_features(place)
    trained = load_trained(place / "run")
    labels = place / "labels.csv"
    test = load_labels(place / "run")["demo"].split["test"]
    labels.write_text("video,mos\n" + "".join(f"{video},50\n" for video in test))
    dataset = trained.settings.dataset.model_copy(update={"labels": labels, "group": None})
    evaluation = evaluate_run(trained, store, dataset, quiet=True)
    assert "regression" in (publish(trained, evaluation).folder / "report.html").read_text()
    assert (evaluation.parse_failures, len(evaluation.rows)) == (0, 8)
    assert all(0 <= row.score <= 100 and row.std is None for row in evaluation.rows)
    export(place / "run", place / "model")
    again = from_pretrained(place / "model")
    for name, tensor in trained.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])
