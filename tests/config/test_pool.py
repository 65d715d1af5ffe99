"""Workers that die."""

import os

import pytest

from config.pool import Pool, WorkerDied


def test_of_a_worker_that_dies_it_is_said_what_to_do() -> None:
    with Pool(2) as pool, pytest.raises(WorkerDied, match="memory ran out: run the same command"):
        list(pool.each(os._exit, [1, 1]))
