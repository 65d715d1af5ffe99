"""What several tests of evaluate/ read."""

from pathlib import Path

import pytest
from training_set import make_features, second_dataset


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets with features of one kind, and their label files."""
    folder = tmp_path_factory.mktemp("two-datasets")
    for name, split in (("demo", make_features(folder)[1]), ("KoNViD-1k", second_dataset(folder))):
        rows = "".join(f"{label.video},{label.mos}\n" for part in split.values() for label in part)
        (folder / f"{name}.csv").write_text("video,mos\n" + rows)
    return folder
