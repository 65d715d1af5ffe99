from benchmarks.scale_driver import measure


def test_a_driver_takes_no_more_memory_for_more_videos() -> None:
    found = list(measure(3000, step=1000))
    assert [row["videos"] for row in found] == [1000, 2000, 3000]
    assert found[-1]["peak_mb"] - found[0]["peak_mb"] < 5
