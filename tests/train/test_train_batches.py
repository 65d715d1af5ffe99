"""Steps and batches: pure arithmetic, by their properties."""

import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_set import make_features, run_settings

from config.schema import ProjectorSettings
from store.labels.files import Label
from store.labels.splits import train_test
from train.data.batches import epoch_steps, micro_batches, plan_step
from train.data.loading import QualityDataset
from train.data.reader import FeatureReader
from train.data.samples import dataset_samples, nested_share
from train.draws import Dropout, by_sample, derived_seed, drawn_wording, draws_of_samples
from train.loop.lengths import sequence_tokens
from train.model.build import build_model
from train.model.projectors import Projector

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=30)


@given(LENGTHS, st.integers(1, 200), st.integers(1, 4))
def test_batches_hold_every_video_once_within_the_budget(
    tokens: list[int], budget: int, processes: int
) -> None:
    videos = list(range(len(tokens)))
    batches = micro_batches(videos, tokens, budget, processes)
    assert sorted(video for batch in batches for video in batch) == videos
    assert len(batches) % processes == 0
    for batch in batches:
        assert len(batch) <= 1 or sum(tokens[video] for video in batch) <= budget


@given(LENGTHS, st.integers(1, 200), st.integers(1, 4))
def test_all_processes_make_as_many_passes_and_the_same_step(
    tokens: list[int], budget: int, processes: int
) -> None:
    videos = list(range(len(tokens)))
    steps = [plan_step(videos, tokens, budget, process, processes) for process in range(processes)]
    assert len({len(step.batches) for step in steps}) == 1
    counted = [v for step in steps for batch in step.batches if batch.counts for v in batch.videos]
    assert sorted(counted) == videos
    assert {(step.videos, step.tokens) for step in steps} == {(len(videos), sum(tokens))}


def test_without_a_sharded_decoder_a_process_without_videos_makes_no_pass() -> None:
    steps = [plan_step([0], [5], None, process, 2, in_step=False) for process in range(2)]
    assert [len(step.batches) for step in steps] == [1, 0]
    standing_in = plan_step([0], [5], None, 1, 2).batches
    assert [(batch.videos, batch.counts) for batch in standing_in] == [([0], False)]


def test_without_a_budget_a_step_is_one_pass_in_its_own_order() -> None:
    assert micro_batches([4, 2, 0], [9, 9, 5, 9, 7], None) == [[4, 2, 0]]


def test_long_and_short_videos_mix() -> None:
    assert micro_batches(range(4), [10, 10, 1, 1], 12) == [[0, 2], [1, 3]]


def test_every_video_is_seen_once_an_epoch_in_an_order_of_its_own(tmp_path: Path) -> None:
    settings = run_settings(tmp_path).pipeline.training
    first, second = (epoch_steps(20, settings, epoch) for epoch in (0, 1))
    assert sorted(i for batch in first for i in batch) == list(range(20))
    assert [len(batch) for batch in first] == [8, 8, 4]
    assert first != second and first == epoch_steps(20, settings, 0)
    drawn = [drawn_wording(0, epoch, sample, 0, 4) for epoch in range(5) for sample in range(20)]
    assert set(drawn) == {0, 1, 2, 3}


def test_what_is_drawn_for_a_video_does_not_depend_on_its_batch() -> None:
    module = torch.nn.Dropout(0.5)
    rows, seeds = torch.ones(7, 32), [derived_seed(0, video) for video in range(3)]
    with draws_of_samples({module: list(zip([2, 4, 1], seeds, strict=True))}):
        together = by_sample(module, module, rows)
    with draws_of_samples({module: [(4, seeds[1])]}):
        alone = by_sample(module, module, rows[:4])
    assert torch.equal(together[2:6], alone) and not torch.equal(together[:2], alone[:2])


@pytest.mark.parametrize("kind", ["mlp", "vit", "perceiver"])
def test_a_projectors_noise_and_dropout_do_not_depend_on_the_batch(kind: Any) -> None:
    settings = ProjectorSettings(
        kind=kind,
        heads=2,
        tokens=None if kind == "vit" else 3,
        hidden=(8,),
        dropout=0.5,
        noise=0.3,
        standardise=True,
    )
    projector, rows = Projector(settings, 5, 6, 4, 1.0).train(), torch.randn(7, 5, 6)
    seeds = [derived_seed(0, video) for video in range(3)]
    with draws_of_samples({projector: list(zip([2, 4, 1], seeds, strict=True))}):
        together = projector(rows)
    with draws_of_samples({projector: [(4, seeds[1])]}):
        alone, again = projector(rows[2:6]), projector(rows[2:6])
    torch.testing.assert_close(together[2:6], alone)
    assert torch.equal(alone, again) and not torch.equal(alone, projector(rows[2:6]))


def test_dropout_keeps_the_mean_and_its_share() -> None:
    kept = Dropout(0.25).train()(torch.ones(1000, 20))
    torch.testing.assert_close(kept.unique(), torch.tensor([0, 4 / 3]))
    assert kept.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(Dropout(0.25).eval()(torch.ones(3)), torch.ones(3))


def test_drawing_for_videos_leaves_the_generator_where_it_was() -> None:
    module = torch.nn.Dropout(0.5)
    before = torch.get_rng_state()
    with draws_of_samples({module: [(1, 5)]}):
        by_sample(module, module, torch.ones(1, 8))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("minimum", [1, 3])
def test_tokens_are_counted_from_the_index_as_the_model_makes_them(tmp_path: Path, minimum: int) -> None:
    changes = ("pipelines.tiny.branches.spatial.over_time=keep", f"datasets.demo.minimum_chunks={minimum}")
    settings, (store, split) = run_settings(tmp_path, *changes), make_features(tmp_path)
    reader = FeatureReader(store, settings.dataset, settings.pipeline.branches)
    samples = dataset_samples(settings, settings.dataset, split, reader).parts["train"]
    data = QualityDataset(samples, {"demo": reader})
    model = build_model(settings.pipeline, settings.tasks, reader.shapes()).eval()
    media = [medium for i in range(len(data)) for medium in data[i]]
    visual = model.visual_tokens(media)
    counted = sequence_tokens(data, model, settings.pipeline.tasks)
    assert len({total - len(tokens) for total, tokens in zip(counted, visual, strict=True)}) == 1
    assert len(set(counted)) > 1
    for sample, features in zip(samples, media, strict=True):
        assert reader.chunks(sample.video) == {name: len(tokens) for name, tokens in features.items()}


def test_a_dataset_can_be_sent_to_a_worker_that_is_spawned(tmp_path: Path) -> None:
    settings, (store, split) = run_settings(tmp_path), make_features(tmp_path)
    reader = FeatureReader(store, settings.dataset, settings.pipeline.branches)
    samples = dataset_samples(settings, settings.dataset, split, reader).parts["train"]
    data = QualityDataset(samples, {"demo": reader})
    sent: QualityDataset = pickle.loads(pickle.dumps(data))
    (medium,), (other,) = data[3], sent[3]
    assert all(torch.equal(tokens, other[branch]) for branch, tokens in medium.items())


def by_video(label: Label) -> str:
    return label.video


def test_a_smaller_share_lies_in_a_larger_one_and_added_videos_redraw_none() -> None:
    labels = [Label(f"clip-{i}", 0.0) for i in range(400)]
    shares = [
        [label.video for label in nested_share(labels, share, 0, by_video)]
        for share in (0.25, 0.5, 0.75, 1.0)
    ]
    assert [len(share) for share in shares] == pytest.approx([100, 200, 300, 400], abs=30)
    assert len(shares[3]) == 400 and len(nested_share(labels, 1e-9, 0, by_video)) == 1
    assert all(set(small) < set(large) for small, large in pairwise(shares))
    assert shares[0] != [label.video for label in nested_share(labels, 0.25, 1, by_video)]
    backwards = nested_share(labels[::-1], 0.25, 0, by_video)
    assert sorted((label.video for label in backwards), key=shares[3].index) == shares[0]
    more = nested_share([*(Label(f"new-{i}", 0.0) for i in range(100)), *labels], 0.25, 0, by_video)
    assert [label.video for label in more if not label.video.startswith("new")] == shares[0]


def test_a_share_of_the_training_videos_is_drawn_apart_from_the_split() -> None:
    train = train_test([Label(f"clip-{i}", 0.0) for i in range(400)], 0.3, 0.1, seed=0)["train"]
    assert len(nested_share(train, 0.25, 0, by_video)) == pytest.approx(0.25 * len(train), rel=0.3)
