import pytest

from benchmarks.scale_driver import measure


@pytest.mark.slow
def test_a_driver_takes_no_more_memory_for_more_videos() -> None:
    found = list(measure(1800, step=600))
    assert [row["videos"] for row in found] == [600, 1200, 1800]
    assert found[-1]["peak_mb"] - found[0]["peak_mb"] < 5
