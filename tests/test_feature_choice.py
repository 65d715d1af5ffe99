"""Which feature set a training reads, where the store has several of one encoder."""

import logging
from pathlib import Path

import numpy as np
import pytest
from training_set import run_settings

from store.features import FeatureStore
from train.data import FeatureReader


def test_of_several_feature_sets_the_newest_is_taken_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FeatureStore(tmp_path)
    sets = [store.feature_set("demo", "nss", {"version": version}) for version in (1, 2)]
    for features in sets:
        with features.writer() as writer:
            blocks = {name: np.ones((1, 1, 3), np.float32) for name in ("spatial", "temporal")}
            writer.add("v", blocks)
    branches = run_settings(tmp_path).pipeline.branches
    with caplog.at_level(logging.WARNING):
        assert FeatureReader(store, "demo", branches).keys == {"nss": sets[1].key}
    assert f"2 feature sets demo/nss: taking the newest, @{sets[1].key}" in caplog.text
    assert FeatureReader(store, "demo", branches, {"nss": sets[0].key}).keys == {"nss": sets[0].key}
