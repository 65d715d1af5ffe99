"""Fixtures shared by all tests: the repository's root and the real data beside it, where there is any."""

import gc
from collections.abc import Iterator
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
