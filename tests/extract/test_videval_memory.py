"""Memory of planes that were freed is used again."""

import platform
import subprocess
import sys

import pytest

PLANES = """
import resource, sys
import numpy as np
from extract.encoders.videval.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def use() -> None:
    planes = [np.ones((480, 854)) for _ in range(8)]
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives large arrays back at once")
def test_freed_planes_are_used_again() -> None:
    faults = {
        mode: int(
            subprocess.run([sys.executable, "-c", PLANES, mode], capture_output=True, check=True).stdout
        )
        for mode in ("given_back", "kept")
    }
    assert faults["given_back"] > 1000
    assert faults["kept"] < 100
