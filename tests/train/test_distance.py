"""How far a video's features lie from the training videos': learned in training, saved, and predicted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from training_set import make_features, run_settings, train

from evaluate.scoring.model import load_trained
from train.data.reader import FeatureReader
from train.model.distance import FeatureDistance

ASKED = "pipelines.tiny.branches.spatial.distance=true"


def test_the_distance_is_mahalanobis_with_99_percent_of_the_training_videos_within_one() -> None:
    random = np.random.default_rng(0)
    mixing = random.standard_normal((4, 4))
    rows = random.standard_normal((5000, 4)) @ mixing + 100
    distance = FeatureDistance(4)
    distance.fit(torch.tensor(row, dtype=torch.float32)[None, None] for row in rows)
    found = np.array([distance(torch.tensor(row, dtype=torch.float32)[None, None]) for row in rows])
    assert (found > 1).mean() == pytest.approx(0.01, abs=0.001)
    centred = rows - rows.mean(axis=0)
    exact = np.sqrt(np.einsum("ni,ij,nj->n", centred, np.linalg.inv(np.cov(centred.T)), centred))
    np.testing.assert_allclose(found, exact / np.quantile(exact, 0.99), rtol=0.02)


def test_a_video_counts_by_its_mean_and_a_constant_feature_by_nothing() -> None:
    random = torch.Generator().manual_seed(0)
    videos = [torch.randn(3, 2, 5, generator=random) for _ in range(50)]
    for video in videos:
        video[..., 4] = 7.0
    distance = FeatureDistance(5)
    distance.fit(videos)
    mean = videos[0].mean(dim=(0, 1))
    assert distance(videos[0]) == pytest.approx(distance(mean[None, None]), rel=1e-5)
    far = mean.clone()
    far[4] = 1e6
    assert distance(far[None, None]) == pytest.approx(distance(mean[None, None]), rel=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_videos_are_enough_to_have_one(count: int) -> None:
    random = torch.Generator().manual_seed(0)
    videos = [torch.randn(3, 1, 5, generator=random) for _ in range(count)]
    distance = FeatureDistance(5)
    distance.fit(videos)
    found = [distance(video) for video in videos]
    assert np.isfinite(found).all() and max(found) == pytest.approx(0 if count == 1 else 1, abs=0.05)
    assert count == 1 or distance(videos[0] + torch.arange(5)) > 1


def test_videos_that_are_all_alike_are_unlike_none() -> None:
    distance = FeatureDistance(5)
    distance.fit([torch.ones(3, 1, 5)] * 6)
    assert distance(torch.full((3, 1, 5), 9.0)) == 0


def test_a_run_learns_it_and_predicts_it(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    run = train(tmp_path, "run", ASKED)
    trained = load_trained(run.folder)
    reader = FeatureReader(store, trained.settings.dataset, trained.settings.pipeline.branches)
    videos = [reader.read(label.video) for label in split["train"]]
    usual = [found.distance for found in trained.predict(videos)]
    assert max(distance or 0 for distance in usual) == pytest.approx(1, abs=0.3)
    odd = {name: tokens + 100 for name, tokens in videos[0].items()}
    (unusual,) = trained.predict([odd])
    assert unusual.distance is not None and unusual.distance > 10


def test_without_it_nothing_is_learned_or_said(tmp_path: Path) -> None:
    settings = run_settings(tmp_path)
    assert not settings.pipeline.branches["spatial"].distance
    store, split = make_features(tmp_path)
    trained = load_trained(train(tmp_path, "run").folder)
    reader = FeatureReader(store, trained.settings.dataset, trained.settings.pipeline.branches)
    (found,) = trained.predict([reader.read(split["test"][0].video)])
    assert found.distance is None and not any("distance" in name for name in trained.model.state_dict())
