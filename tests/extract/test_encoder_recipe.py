import os
import re
import subprocess
import sys

import numpy as np
import pytest
from small_videos import encode

from store.features import FeatureStore


@pytest.fixture
def example(root):
    (code,) = re.findall(r"```python\n(.*?)```", (root / "docs" / "extraction.md").read_text(), re.DOTALL)
    return code


def test_the_encoder_of_the_documentation_works_as_it_stands(tmp_path, root, example):
    (tmp_path / "sharpness.py").write_text(example)
    (tmp_path / "videos").mkdir()
    flat = np.full((64, 96, 3), 120, np.uint8)
    encode(tmp_path / "videos" / "flat.mp4", frames=40, rate=20, picture=flat)
    encode(tmp_path / "videos" / "noisy.mp4", frames=60, rate=20)
    (tmp_path / "videos" / "empty.mp4").touch()
    command = [sys.executable, "-W", "error", "sharpness.py"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 empty_file" in done.stdout
    features = FeatureStore(tmp_path / "features").find("mine", "sharpness")
    assert features.videos() == ["flat", "noisy"]
    flat_tiles, noisy_tiles = features.read("flat", "tiles"), features.read("noisy", "tiles")
    assert (flat_tiles.shape, noisy_tiles.shape) == ((2, 16, 1), (3, 16, 1))
    assert flat_tiles.max() < 1 < noisy_tiles.min()
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "nothing to extract: the features of 2 videos are reused; 1 in quarantine" in again.stdout
