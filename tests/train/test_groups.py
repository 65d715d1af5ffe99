"""What trains, at which rates: the groups of parameters that the settings name."""

from pathlib import Path

import pytest
import torch
from training_set import ROOT, logged, make_features, run_settings, train, weights

from config.load import SettingsError, load_settings
from train.job import train_run
from train.pretrained import from_pretrained
from train.saving.checkpoint import checkpoint_of

GROUPS = "pipelines.tiny.training.groups"
LORA = "pipelines.tiny.decoder.lora={ rank = 2, dropout = 0.0 }"


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("{}", {"spatial": (1e-3, 0.1), "lora": (1e-3, 0.1), "embeddings": (0, 0.1), "decoder": (0, 0.1)}),
        ("{ projectors = 1e-4, temporal = 0 }", {"spatial": (1e-4, 0.1), "temporal": (0, 0.1)}),
        ("{ lora = { weight_decay = 0 } }", {"lora": (1e-3, 0), "temporal": (1e-3, 0.1)}),
        ("{ embeddings = {} }", {"embeddings": (1e-3, 0.1), "decoder": (0, 0.1)}),
    ],
)
def test_a_group_trains_at_its_own_rate_or_the_trainings(
    groups: str, expected: dict[str, tuple[float, float]]
) -> None:
    pipeline = load_settings(ROOT / "pipelines.toml", [LORA, f"{GROUPS}={groups}"]).pipelines["tiny"]
    assert {name: pipeline.rates(name) for name in expected} == expected


def test_token_embeddings_go_with_the_decoder_unless_they_have_a_rate() -> None:
    for more, rate in (("", 1e-5), (", embeddings = 1e-4", 1e-4), (", embeddings = 0", 0)):
        groups = f"{GROUPS}={{ decoder = 1e-5{more} }}"
        plain = "pipelines.tiny.training.average_last_epochs=0"
        pipeline = load_settings(ROOT / "pipelines.toml", [groups, plain]).pipelines["tiny"]
        assert (pipeline.rates("embeddings")[0], pipeline.rates("decoder")[0]) == (rate, 1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["groups.decoders=1e-5"],
            r"groups\.decoders: the pipeline has no such part; it has projectors, spa",
        ),
        (["groups.lora=1e-5"], r"groups\.lora: the pipeline has no such part: decoder\.lora is not set"),
        (["groups.head=1e-5"], r"groups\.head: .*: head = decoder"),
        (["groups.decoder=-1"], r"groups\.decoder\.learning_rate: .*greater than or equal to 0"),
        (["groups.decoder=true"], r"groups\.decoder: .*found True"),
        (["groups.projectors=0"], r"nothing trains; give a rate to one of spatial, temporal, embeddings"),
    ],
)
def test_groups_that_the_pipeline_does_not_have_are_refused_in_words(
    overrides: list[str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(ROOT / "pipelines.toml", [f"pipelines.tiny.training.{each}" for each in overrides])


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        ("quantised=4bit", r"weights held in 4bit cannot train: set decoder\.quantised = none"),
        ("lora.rank=4", r"groups\.decoder and decoder\.lora: expected one of the two"),
    ],
)
def test_a_decoder_that_cannot_train_is_refused_in_words(decoder: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(
            ROOT / "pipelines.toml", [f"{GROUPS}.decoder=1e-5", f"pipelines.tiny.decoder.{decoder}"]
        )


def test_a_branch_may_not_have_a_groups_name(tmp_path: Path) -> None:
    branch = '{ encoder = "nss", stream = "spatial", projector = { kind = "mlp" } }'
    with pytest.raises(SettingsError, match=r"branches\.decoder: that is a group's name"):
        run_settings(tmp_path, f"pipelines.tiny.branches.decoder={branch}")


def test_frozen_groups_stay_and_the_others_move_at_their_rates(tmp_path: Path) -> None:
    still = ("pipelines.tiny.training.learning_rate=1e-30", LORA)
    train(tmp_path, "began", *still)
    run = train(tmp_path, "run", LORA, f"{GROUPS}={{ spatial = 0, temporal = 1e-3, lora = 1e-5 }}")
    assert set(run.trainable) == {"temporal", "lora"}
    before, after = weights(tmp_path / "began"), weights(tmp_path / "run")
    moved = {
        name: float((tensor - before[name]).abs().max())
        for name, tensor in after.items()
        if "mean" not in name and "std" not in name
    }
    assert all(distance == 0 for name, distance in moved.items() if "spatial" in name)
    assert max(distance for name, distance in moved.items() if "temporal" in name) > 1e-3
    rates = {name: logged(tmp_path / "run", f"learning_rate/{name}") for name in ("temporal", "lora")}
    for step, rate in rates["temporal"].items():
        assert rates["lora"][step] == pytest.approx(rate / 100, rel=1e-5)
    assert rates["temporal"][1] == pytest.approx(1e-3)
    card = (checkpoint_of(tmp_path / "run") / "README.md").read_text()
    assert "| 0.001           | 0.1            |" in card and "| lora" in card and "| spatial " not in card
    assert from_pretrained(tmp_path / "run").model.trainable_parameters()


def test_which_groups_train_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    store, split = make_features(tmp_path)
    settings = run_settings(tmp_path, f"{GROUPS}.embeddings=1e-5", "pipelines.tiny.training.epochs=1")
    train_run(settings, store, {"demo": split}, tmp_path / "run")
    assert "embeddings trains: 16,384 parameters, learning rate 1e-05, weight decay 0.1" in caplog.text
    assert "spatial trains: " in caplog.text and "everything else is frozen" in caplog.text
    assert torch.isfinite(weights(tmp_path / "run")["embeddings.weight"]).all()
