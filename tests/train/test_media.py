"""Conversations about several videos, parts of videos and pictures, through the trainer."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from random_models import videos
from tiny_language import small_model
from training_set import make_features, run_settings

from store.errors import InvalidRange
from store.features import FeatureStore
from train.answers.conversation import SLOT, Conversation, Message
from train.data.loading import QualityDataset
from train.data.reader import FeatureReader
from train.data.samples import Medium, dataset_samples
from train.errors import TrainError
from train.job import train_run
from train.loop.lengths import sequence_tokens
from train.loop.processes import make_accelerator
from train.loop.trainer import Trainer
from train.model.build import build_model

SHAPES = {"spatial": (5, 7), "temporal": (2, 3)}
KEPT = ("pipelines.tiny.branches.spatial.over_time=keep", "pipelines.tiny.branches.temporal.over_time=keep")
SYSTEM = Message("system", "You are an expert in video quality.")


def test_a_medium_without_a_branch_has_the_tokens_of_the_others() -> None:
    model, (video,) = small_model(SHAPES), videos(3)
    picture = {"spatial": video["spatial"][:1]}
    whole, alone = model.visual_tokens([video, picture])
    assert (len(whole), len(alone)) == (3 * 5 + 3 * 2, 5)
    assert torch.equal(alone, whole[:5])
    assert torch.equal(model.visual_tokens([picture])[0], alone)


def settled(folder: Path, *overrides: str) -> tuple[Trainer, QualityDataset]:
    """A trainer that asks about each video, another one, a part of that one, and a picture."""
    settings = run_settings(folder, *KEPT, *overrides)
    store, split = make_features(folder)
    reader = FeatureReader(store, settings.dataset, settings.pipeline.branches)
    samples = dataset_samples(settings, settings.dataset, split, reader).parts["train"][:8]
    others = samples[1:] + samples[:1]
    shown = [
        replace(
            sample,
            further=(
                Medium("demo", other.video),
                Medium("demo", other.video, 0, 1),
                Medium("demo", sample.video, 0, 1, ("spatial",)),
            ),
        )
        for sample, other in zip(samples, others, strict=True)
    ]
    data = QualityDataset(shown, {"demo": reader})

    def questions(epoch: int, batch: Sequence[int]) -> list[Conversation]:
        found = []
        for place, number in enumerate(batch):
            own, other, part, picture = range(4 * place, 4 * place + 4)
            better = "good" if shown[number].mos > others[number].mos else "poor"
            turns = (
                Message("user", f"{SLOT} {SLOT} How good is the quality of this video?"),
                Message("assistant", better),
                Message("user", f"{SLOT} What is the quality level?"),
                Message("assistant", "fair" if epoch else "good"),
            )
            found.append(Conversation((own, other, part), (SYSTEM, *turns)))
            found.append(Conversation((picture,), (SYSTEM, replace(turns[2]), turns[1])))
        return found

    train_run(settings, store, {"demo": split}, folder, quiet=True)  # makes the run's folder
    shutil.rmtree(folder / "checkpoints")
    model = build_model(settings.pipeline, settings.tasks, reader.shapes())
    accelerator = make_accelerator(settings.pipeline.training, folder)
    none = QualityDataset([], {"demo": reader})
    trainer = Trainer(
        accelerator, settings.pipeline, model, data, none, folder, quiet=True, questions=questions
    )
    return trainer, data


def test_what_is_shown_is_counted_and_read_as_it_was_stored(tmp_path: Path) -> None:
    trainer, data = settled(tmp_path)
    media = data[3]
    own, other, part, picture = media
    assert {name: len(tokens) for name, tokens in part.items()} == {"spatial": 1, "temporal": 1}
    assert torch.equal(part["spatial"], other["spatial"][:1]) and picture.keys() == {"spatial"}
    assert torch.equal(picture["spatial"], own["spatial"][:1])
    text = trainer.model.prompts.text_tokens(trainer.pipeline.tasks)
    tokens = sum(map(len, trainer.model.visual_tokens(media)))
    assert sequence_tokens(data, trainer.model, trainer.pipeline.tasks)[3] == tokens + text


def test_training_on_pairs_parts_and_pictures_does_not_depend_on_the_passes(tmp_path: Path) -> None:
    found = []  # what training changed
    for name, budget in (("whole", 100_000), ("small", 250)):
        steps = (f"pipelines.tiny.training.tokens_per_batch={budget}", "pipelines.tiny.training.batch_size=8")
        (tmp_path / name).mkdir()
        trainer, _ = settled(tmp_path / name, *steps)
        before = {key: tensor.clone() for key, tensor in trainer.model.projectors.state_dict().items()}
        assert (
            len(trainer._plan(0)[0].batches) == 1 if budget > 1000 else len(trainer._plan(0)[0].batches) > 2
        )
        trainer.fit()
        after = trainer.model.projectors.state_dict()
        found.append(torch.cat([(after[key] - before[key]).flatten() for key in before]))
    one, other = found
    # Not element by element: Adam takes full steps along gradients that are no more than rounding.
    assert (one - other).norm() < 1e-3 * one.norm()


def test_parts_that_are_not_there_are_refused(tmp_path: Path) -> None:
    _, data = settled(tmp_path)
    data.samples = [replace(data.samples[0], further=(Medium("demo", "v0", 50, 60),))]
    with pytest.raises(InvalidRange, match=r"cannot read 50 to 60"):
        data[0]


def test_a_part_is_counted_in_chunks_and_refused_where_streams_have_other_lengths(
    tmp_path: Path,
) -> None:
    settings, store = run_settings(tmp_path, *KEPT), FeatureStore(tmp_path / "features")
    values = np.arange(36, dtype=np.float32).reshape(12, 1, 3)
    with store.feature_set("demo", "nss", {}).writer() as writer:
        writer.add("even", {"spatial": values, "temporal": values})
        writer.add("uneven", {"spatial": values, "temporal": values[:6]})
    for first_by, expected in (("time", [9, 10]), ("name", [10, 11])):
        changes = {"first_chunks": 2, "first_by": first_by}
        branches = {n: b.model_copy(update=changes) for n, b in settings.pipeline.branches.items()}
        reader = FeatureReader(store, settings.dataset, branches)
        assert reader.read("even", 9, 12)["spatial"].tolist() == values[expected].tolist()
    reader = FeatureReader(store, settings.dataset, settings.pipeline.branches)
    with pytest.raises(TrainError, match=r"uneven: a part .*nss\.spatial 12, nss\.temporal 6"):
        reader.read("uneven", 2, 4)
    with pytest.raises(TrainError, match=r"no branch 'spatail'; the pipeline has spatial, temporal"):
        reader.read("even", branches=("spatail",))


def test_a_dataset_goes_without_a_branch_of_the_pipeline_and_not_all_datasets_do(tmp_path: Path) -> None:
    for without, message in (
        (["temporl"], "names 'temporl'; the pipeline's"),
        (["temporal"], "go without temporal"),
    ):
        with pytest.raises(ValueError, match=message):
            run_settings(tmp_path, f"datasets.demo.without={without}")
