import os
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from distort.coding import Coding, write_frames


@pytest.mark.skipif(sys.platform != "linux", reason="scheduling policies are Linux's")
@pytest.mark.parametrize("encoder", ["av1", "h265"])
def test_no_encoder_leaves_threads_with_another_priority(tmp_path: Path, encoder: str) -> None:
    policies = set()

    def frames():
        for number in range(12):
            picture = np.full((96, 64), number, np.uint8)
            yield VideoFrame.from_ndarray(picture, format="yuv420p"), Fraction(number, 25)
            threads = [int(each.name) for each in Path("/proc/self/task").iterdir()]
            policies.update(os.sched_getscheduler(thread) for thread in threads)

    before = os.sched_getscheduler(0)
    write_frames(tmp_path / "a.mp4", frames(), Fraction(1, 25), Coding(encoder, 40))
    assert policies == {before} == {os.sched_getscheduler(0)}
