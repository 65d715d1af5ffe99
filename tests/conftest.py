"""Fixtures shared by all tests: the repository's root and the real data beside it, where there is any."""

import gc
import os
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path

import hypothesis
import pytest
import torch

# No test depends on how fast the machine is.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")
torch.set_num_threads(1)  # tiny models are far slower on two contended threads


def forget_server() -> None:
    """In a fork: the fork server is the child of the process that was forked, and this one has none yet."""
    forkserver._forkserver._forkserver_pid = None


os.register_at_fork(after_in_child=forget_server)

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported is no garbage: it is not looked through while it comes, nor ever after."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real videos, label files, features and predictions."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real videos and label files (../shared/data) are not on this machine")
    return SHARED_DATA
