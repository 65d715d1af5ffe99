"""Long trials of what the quick tests show once: `make soak`."""

from pathlib import Path

import pytest
from stored_videos import assert_holds, feature_set, write
from test_store_crash import BACKENDS, run_writers

pytestmark = pytest.mark.soak


@BACKENDS
def test_a_store_survives_round_after_round_of_killed_writers(
    root: Path, tmp_path: Path, backend: str
) -> None:
    for trial in range(40):
        run_writers(root, tmp_path, "kill", backend)
        features = feature_set(tmp_path)
        assert_holds(features, features.videos())
        assert features.verify() == []
        write(feature_set(tmp_path, backend), [f"resumed {trial}"])
        assert not any(".tmp-" in path.name for path in features.path.iterdir())
