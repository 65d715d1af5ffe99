"""Which feature set a training reads, where the store has several of one encoder."""

import logging
from pathlib import Path

import numpy as np
import pytest
from training_set import run_settings

from store.features import FeatureStore
from train.data.reader import FeatureReader


def test_of_several_feature_sets_the_newest_is_taken_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FeatureStore(tmp_path)
    sets = [store.feature_set("demo", "nss", {"version": version}) for version in (1, 2)]
    for features in sets:
        with features.writer() as writer:
            blocks = {name: np.ones((1, 1, 3), np.float32) for name in ("spatial", "temporal")}
            writer.add("v", blocks)
    settings = run_settings(tmp_path)
    dataset, branches = settings.dataset, settings.pipeline.branches
    with caplog.at_level(logging.WARNING):
        assert FeatureReader(store, dataset, branches).keys == {"nss": sets[1].key}
    assert f"2 feature sets demo/nss: taking the newest, @{sets[1].key}" in caplog.text
    assert FeatureReader(store, dataset, branches, {"nss": sets[0].key}).keys == {"nss": sets[0].key}


def test_short_videos_repeat_their_last_chunk_up_to_the_dataset_s_minimum(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    values = np.arange(12, dtype=np.float32).reshape(4, 1, 3)
    with store.feature_set("demo", "nss", {}).writer() as writer:
        for video, chunks in (("short", 2), ("long", 4)):
            writer.add(video, dict.fromkeys(("spatial", "temporal"), values[:chunks]))
    settings = run_settings(tmp_path)
    branches = {
        name: branch.model_copy(update={"over_time": "keep"})
        for name, branch in settings.pipeline.branches.items()
    }
    reader = FeatureReader(store, settings.dataset.model_copy(update={"minimum_chunks": 3}), branches)
    assert reader.read("short")["spatial"].numpy().tolist() == values[[0, 1, 1]].tolist()
    assert reader.read("long")["spatial"].numpy().tolist() == values.tolist()
    assert reader.read("short", 1, 2)["spatial"].numpy().tolist() == values[1:2].tolist()


def test_the_first_chunks_may_be_first_by_name_and_a_dataset_may_go_without_a_branch(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    values = np.arange(36, dtype=np.float32).reshape(12, 1, 3)
    with store.feature_set("demo", "nss", {}).writer() as writer:
        for video, chunks in (("short", 2), ("long", 12)):
            writer.add(video, dict.fromkeys(("spatial", "temporal"), values[:chunks]))
    settings = run_settings(tmp_path)
    changes = {"over_time": "keep", "first_chunks": 4, "first_by": "name"}
    branches = {n: b.model_copy(update=changes) for n, b in settings.pipeline.branches.items()}
    dataset = settings.dataset.model_copy(update={"without": ("temporal",)})
    reader = FeatureReader(store, dataset, branches)
    assert reader.read("long").keys() == reader.chunks("long").keys() == {"spatial"}
    assert reader.read("long")["spatial"].numpy().tolist() == values[[0, 1, 10, 11]].tolist()
    assert reader.read("short")["spatial"].numpy().tolist() == values[[0, 1, 1, 1]].tolist()
