"""What VIDEVAL's encoder asks of its process: memory that is used again, and one thread."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch

from extract.encoders.videval import memory
from extract.encoders.videval.encoder import VidevalEncoder
from extract.encoders.videval.sampling import HIGH, ROWS
from extract.video.view import Chunk

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
    usual = {name: value for name, value in os.environ.items() if not name.startswith(("GLIBC_", "MALLOC_"))}
    faults = {
        mode: int(
            subprocess.run(
                [sys.executable, "-c", PLANES, mode], capture_output=True, check=True, env=usual
            ).stdout
        )
        for mode in ("given_back", "kept")
    }
    assert faults["given_back"] > 1000
    assert faults["kept"] < 100


@pytest.mark.parametrize(
    ("most", "set_to"),
    [(64 << 20, {-3: 64 << 20, -1: 512 << 20}), (32 << 20, {-3: 32 << 20, -1: 512 << 20}), (0, {})],
)
def test_a_c_library_that_takes_less_gets_less(monkeypatch, most: int, set_to: dict[int, int]) -> None:
    found = {}

    class Library:
        def mallopt(self, option: int, value: int) -> int:
            if option == -3 and value > most:
                return 0
            found[option] = value
            return 1

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _name: Library())
    memory.keep_freed_memory.__wrapped__()
    assert found == set_to


def test_pictures_are_encoded_in_one_thread_and_the_process_keeps_its_own(monkeypatch) -> None:
    found = []
    encoder = VidevalEncoder()
    monkeypatch.setattr(encoder, "_numbers", lambda *_pictures: found.append(torch.get_num_threads()))
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        encoder.encode([Chunk(0, 0.0, {name: np.zeros((3, 6, 4), np.uint8) for name in (ROWS, HIGH)})])
        assert found == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(usual)
