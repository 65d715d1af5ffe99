from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extract.executors.lots import Lot, LotQueue, cut
from extract.executors.places import places
from extract.tasks import Extracted, Refused, VideoTask
from extract.video.decode import VideoInfo

INFO = VideoInfo(96, 64, 20.0, 1.0, 20, 1, "h264", "yuv420p", 0, ())


def tasks_of(sizes):
    return [VideoTask(f"v{n}", Path(f"v{n}.mp4"), ("nss",), size) for n, size in enumerate(sizes)]


def sizes_of(lots):
    return [sum(max(task.file_bytes, 1) for task in lot.tasks) for lot in lots]


@example(sizes=[0, 1], runners=1, max_bytes=1, max_videos=1)
@given(
    sizes=st.lists(st.integers(0, 10**9), max_size=300),
    runners=st.integers(1, 64),
    max_bytes=st.integers(1, 10**10),
    max_videos=st.integers(1, 50),
)
def test_every_task_is_in_one_lot_within_its_bounds_the_largest_first(sizes, runners, max_bytes, max_videos):
    tasks = tasks_of(sizes)
    lots = cut(tasks, runners, max_bytes, max_videos)
    in_order = [task for lot in lots for task in lot.tasks]
    assert sorted(task.video for task in in_order) == sorted(task.video for task in tasks)
    # A file without a size weighs as one of a byte.
    weights = [max(task.file_bytes, 1) for task in in_order]
    assert weights == sorted((max(size, 1) for size in sizes), reverse=True)
    for lot, size in zip(lots, sizes_of(lots), strict=True):
        assert len(lot.tasks) <= max_videos
        assert size <= max_bytes or len(lot.tasks) == 1


@given(count=st.integers(400, 4000), spread=st.integers(1, 500), runners=st.integers(1, 4))
def test_there_are_many_more_lots_than_runners_and_the_last_are_small(count, spread, runners):
    sizes = [500 + 7919 * n % spread for n in range(count)]
    lots = cut(tasks_of(sizes), runners, max_videos=len(sizes))
    assert len(lots) >= 8 * runners
    even, largest = sum(sizes) / (8 * runners), max(sizes)
    assert all(size <= max(even, largest) for size in sizes_of(lots))
    assert all(size <= max(even / 4, largest) for size in sizes_of(lots)[-runners:])


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60), st.integers(1, 5), st.data())
def test_every_video_gets_one_outcome_whichever_runners_die(sizes, runners, data):
    queue = LotQueue(cut(tasks_of(sizes), runners))
    killer = data.draw(st.sampled_from(range(len(sizes))))
    told, deaths = [], 0
    while not queue.done:
        lot = queue.take()
        videos = [task.video for task in lot.tasks]
        # A runner tells of some videos before it dies of one.
        dies = f"v{killer}" in videos
        over = lot.tasks[: videos.index(f"v{killer}")] if dies else lot.tasks
        told += queue.new(Extracted(task, INFO, 1) for task in over)
        if dies:
            deaths += 1
            refused = queue.died(lot)
            told += queue.new([refused] if refused else [])
        else:
            queue.finished(lot)
    assert sorted(outcome.task.video for outcome in told) == sorted(f"v{n}" for n in range(len(sizes)))
    refusals = [outcome for outcome in told if isinstance(outcome, Refused)]
    assert [(refused.task.video, refused.kind) for refused in refusals] == [(f"v{killer}", "crash")]
    assert deaths <= 5


def test_a_lot_that_was_not_begun_is_taken_next_and_is_not_to_blame():
    first, second = Lot(tuple(tasks_of([1]))), Lot((VideoTask("w", Path("w.mp4"), ("nss",)),))
    queue = LotQueue([first, second])
    for _ in range(10):
        queue.put_back(queue.take())
    assert queue.take() == first
    assert queue.take() == second
    assert not queue.done


def test_what_was_extracted_but_perhaps_not_committed_is_done_once_more_and_told_once():
    tasks = tasks_of([1, 2])
    queue = LotQueue([Lot(tuple(tasks))])
    lot = queue.take()
    assert len(queue.new([Extracted(tasks[0], INFO, 1), Refused(tasks[1], "truncated", "half")])) == 2
    queue.died(lot)
    again = queue.take()
    assert again.tasks == (tasks[0],)
    assert queue.new([Extracted(tasks[0], INFO, 1)]) == []
    queue.finished(again)
    assert queue.done


def node(name, alive=True, **resources):
    return {"NodeID": name, "NodeManagerHostname": name, "Alive": alive, "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "kind", "expected"),
    [
        ([node("a", CPU=16.0, GPU=2.0)], "auto", [("a", 0, 5, 1, 4), ("a", 1, 5, 1, 4)]),
        ([node("a", CPU=4.0, GPU=2.0)], "auto", [("a", 0, 2, 1, 1), ("a", 1, 2, 1, 1)]),
        ([node("a", CPU=4.0, GPU=2.0)], "cpu", [("a", 0, 4, 0, 3)]),
        ([node("a", CPU=64.0), node("b", CPU=8.0, GPU=1.0)], "auto", [("b", 0, 5, 1, 4)]),
        ([node("head"), node("a", CPU=1.0)], "auto", [("a", 0, 1, 0, 1)]),
        ([node("a", CPU=8.0), node("gone", alive=False, CPU=8.0)], "auto", [("a", 0, 5, 0, 4)]),
        ([node("a", CPU=8.0)], "cuda", []),
    ],
)
def test_a_cluster_has_a_place_for_each_gpu_or_else_for_each_node(nodes, kind, expected):
    found = places(nodes, workers=4, kind=kind)
    assert [(one.node, one.number, one.cpus, one.gpus, one.workers) for one in found] == expected
    assert all(one.device == ("cuda" if one.gpus else "cpu") for one in found)
