"""Jobs that several processes share: lots, leases and results in files of the store's folder."""

import itertools
import multiprocessing
import os
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fragile_encoder import FragileEncoder
from hypothesis import given, settings
from hypothesis import strategies as st
from several_runners import assert_same_features, stored, tasks_of, tiny_recipe, undisturbed
from small_videos import cut_in_half, encode

from extract.executors.base import Process, StoreNotShared, WorkersLost
from extract.executors.driver import Driver
from extract.executors.local import LocalExecutor
from extract.executors.lots import MAX_VIDEOS, Lot, cut
from extract.executors.shared_job import OtherJob, SharedJob, remove_dead_jobs
from extract.executors.worker import launched, work
from extract.run.extractor import Extractor
from extract.tasks import Extracted, Refused, VideoTask
from extract.video.decode import VideoInfo
from store.leases import Leases

ROOT = Path(__file__).parents[2]
INFO = VideoInfo(96, 64, 20.0, 1.0, 20, 1, "h264", "yuv420p", 0, ("dark",))


def tasks(count, needed=None):
    """`needed`: whether the video of a number lacks its features; all do, where not given."""
    return [
        VideoTask(f"v{n}", Path(f"v{n}.mp4"), ("nss",) if needed is None or needed(n) else ())
        for n in range(count)
    ]


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=1000), st.integers(1, 100))
def test_every_task_with_something_to_do_is_in_one_lot_in_its_order(needed, max_videos):
    given_tasks = tasks(len(needed), needed.__getitem__)
    lots = list(cut(given_tasks, max_videos))
    assert [task for lot in lots for task in lot.tasks] == [task for task in given_tasks if task.encoders]
    assert all(0 < len(lot.tasks) <= max_videos for lot in lots)
    assert len({lot.name for lot in lots}) == len(lots)


@settings(deadline=None)
@given(st.integers(1, 1000), st.integers(0, 5))
def test_a_video_is_in_the_same_lot_whatever_else_is_done_already(count, salt):
    all_lots = {task.video: lot.name for lot in cut(tasks(count)) for task in lot.tasks}
    rest = tasks(count, lambda number: hash((number, salt)) % 3 > 0)
    assert {t.video: lot.name for lot in cut(rest) for t in lot.tasks}.items() <= all_lots.items()


@pytest.mark.parametrize("count", [100, 5_000, 50_000])
def test_a_lot_is_a_small_share_of_the_job_and_lots_are_cut_while_tasks_are_read(count):
    sizes = [len(lot.tasks) for lot in cut(tasks(count))]
    assert max(sizes) <= min(MAX_VIDEOS, max(1, count / 256))
    endless = (VideoTask(f"v{n}", Path("v.mp4"), ("nss",)) for n in itertools.count())
    assert next(cut(endless)).tasks[0].video == "v0"


@pytest.fixture
def job(tmp_path):
    return SharedJob(tmp_path, "job", "me").open()


@pytest.fixture
def leases(job):
    with closing(Leases(job.files)) as leases:
        yield leases


def test_a_lot_comes_back_from_its_file_and_its_outcomes_from_theirs(job, leases):
    odd = VideoTask("line\nbreak/\udcff", Path("/v/\udcff.mp4"), ("clip", "nss"), 7.5)
    job.publish(Lot("lot-1", (odd, *tasks(1))))
    job.end_list()
    claim = job.claim(leases)
    assert claim.lot.tasks == (odd, *tasks(1))
    assert job.claim(leases) is None
    assert not job.over
    outcomes = [Extracted(odd, INFO, 7, 12), Refused(tasks(1)[0], "truncated", "half")]
    job.finish(claim, leases, outcomes, {"run": 1.5})
    assert job.over
    (result,) = job.results()
    assert (result.worker, result.outcomes, result.seconds) == ("me", outcomes, {"run": 1.5})
    assert list(job.results()) == []


def test_a_lot_that_is_given_back_is_claimed_again(job, leases):
    job.publish(Lot("lot-1", tuple(tasks(2))))
    claim = job.claim(leases)
    job.give_back(claim, leases)
    assert job.claim(leases).lot == claim.lot


def die_with(store, lot):
    """Another process claims the lot, and dies of it."""
    process = multiprocessing.get_context("fork").Process(target=_claim, args=(store,))
    process.start()
    process.join()
    assert process.exitcode == 0, lot


def _claim(store):
    job = SharedJob(store, "job")
    assert job.claim(Leases(job.files))


def test_a_lot_that_three_processes_died_of_is_taken_apart_and_a_video_that_two_more_died_of_is_refused(
    tmp_path, job, leases
):
    job.publish(Lot("lot-1", tuple(tasks(2))))
    for _ in range(3):
        die_with(tmp_path, "lot-1")
    assert job.claim(leases) is None
    assert not job.over
    first, second = job.claim(leases), job.claim(leases)
    assert [claim.lot.tasks for claim in (first, second)] == [(task,) for task in tasks(2)]
    job.finish(first, leases, [Extracted(first.lot.tasks[0], INFO, 1, 1)], {})
    job.give_back(second, leases)
    for _ in range(2):
        die_with(tmp_path, "lot-1-001")
    claim = job.claim(leases)
    assert claim.deadly
    assert claim.lot.tasks == (tasks(2)[1],)


def test_a_process_that_does_not_see_the_store_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("extract.executors.worker._SEE_SECONDS", 0.2)
    found = launched(tiny_recipe(tmp_path / "absent"), "cpu", "job", "me")
    assert isinstance(found, StoreNotShared)
    assert str(tmp_path / "absent") in str(found)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    files = {f"v{n:02}": encode(folder / f"v{n:02}.mp4", frames=20 + 3 * n, rate=20) for n in range(8)}
    files["half"] = cut_in_half(encode(folder / "whole.mkv", frames=60, rate=20), folder / "half.mkv")
    return files


def needed(videos, how):
    """As a job lists them: a video that is done when the list is read needs nothing."""
    done = {video for features in stored(how.store) for video in features.videos()}
    done |= {entry.video for features in stored(how.store) for entry in features.quarantine.entries()}
    for task in tasks_of(videos, how):
        yield replace(task, encoders=()) if task.video in done else task


def test_processes_of_one_name_share_the_videos_and_end_together(tmp_path, videos):
    alone = tiny_recipe(tmp_path / "alone")
    undisturbed(alone, tasks_of(videos, alone))
    how = tiny_recipe(tmp_path / "shared")
    executors = [LocalExecutor(how, share="array-17") for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        got = list(threads.map(lambda executor: list(executor.run(needed(videos, how))), executors))
    for executor in executors:
        executor.close()
    assert sorted(outcome.task.video for outcome in got[0] + got[1]) == sorted(videos)
    assert_same_features(alone.store, how.store)
    assert not list(how.store.glob(".*"))


@pytest.mark.slow
def test_the_death_of_a_machine_of_the_same_host_name_costs_only_time(tmp_path, videos, monkeypatch):
    alone = tiny_recipe(tmp_path / "alone")
    undisturbed(alone, tasks_of(videos, alone))
    how = tiny_recipe(tmp_path / "shared")
    job = SharedJob(how.store, "job")
    with monkeypatch.context() as patch:
        patch.setattr("store.durable.owner._host", lambda: "0badcafe")
        there = Leases(job.files, expiry_seconds=1)
    with closing(Leases(job.files, expiry_seconds=1)) as here, Extractor(how, "cpu") as extractor:
        job.publish_all(tasks_of(videos, how), "", here)
        assert SharedJob(how.store, "job").claim(there)
        outcomes = work(extractor, job, here)
        got = [next(outcomes) for _ in range(len(videos) - 1)]
        # While its count goes up, its lot is its own.
        time.sleep(1.5)
        there.close()
        got += outcomes
    assert sorted(outcome.task.video for outcome in got) == sorted(videos)
    assert_same_features(alone.store, how.store)


def test_a_job_in_object_storage_is_shared_and_leaves_nothing():
    store = Path(f"memory://bucket/{uuid.uuid4().hex}")
    job, other = SharedJob(store, "job", "me"), SharedJob(store, "job")
    with closing(Leases(job.files)) as leases:
        job.publish_all(tasks(2), "", leases)
        claims = [job.claim(leases), other.claim(leases)]
        assert [claim.lot.tasks for claim in claims] == [(task,) for task in tasks(2)]
        for claim in claims:
            job.finish(claim, leases, [Extracted(claim.lot.tasks[0], INFO, 1, 1)], {})
        assert job.over
        assert [result.outcomes[0].task.video for result in job.results()] == ["v0", "v1"]
    job.leave()
    assert job.files.names() == []


def others_of(tmp_path, code):
    """Another process that does this with `job` and `leases`, and is still there when it has said so."""
    program = f"""
import os, sys
from pathlib import Path
from extract.executors.shared_job import SharedJob
from extract.tasks import VideoTask
from store.leases import Leases
job = SharedJob(Path(sys.argv[1]), "job")
leases = Leases(job.files)
tasks = [VideoTask(f"v{{n}}", Path("v.mp4"), ("nss",)) for n in range(3)]
{code}
print("done", flush=True)
sys.stdin.readline()
os._exit(9)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "done\n"
    return process


def test_a_job_of_one_name_and_other_videos_is_refused_while_a_process_of_it_lives(tmp_path, job):
    other = others_of(tmp_path, "job.publish_all(tasks, '3 videos', leases); assert job.claim(leases)")
    with closing(Leases(job.files)) as leases:
        SharedJob(tmp_path, "job").publish_all(tasks(3), "3 videos", leases)
        with pytest.raises(OtherJob, match=r"with 3 videos; this one has 2 videos"):
            SharedJob(tmp_path, "job").publish_all(tasks(2), "2 videos", leases)
        other.communicate("die\n")
        SharedJob(tmp_path, "job").publish_all(tasks(2), "2 videos", leases)
        left = [job.claim(leases).lot.tasks for _ in range(2)]
        assert left == [(task,) for task in tasks(2)]
        assert job.claim(leases) is None


def test_a_job_goes_on_after_the_death_of_all_its_processes_and_counts_their_deaths(tmp_path, job):
    for _ in range(2):
        other = others_of(tmp_path, "job.publish_all(tasks, '3 videos', leases); assert job.claim(leases)")
        other.communicate("die\n")
    with closing(Leases(job.files)) as leases:
        job.publish_all(tasks(3), "3 videos", leases)
        assert sorted(job.claim(leases).lease.takeovers for _ in range(3)) in ([0, 0, 2], [0, 1, 1])


def test_the_last_process_leaves_nothing_of_those_that_died(tmp_path, videos):
    how = tiny_recipe(tmp_path)
    with closing(LocalExecutor(how, share="array")) as executor:
        name = executor._job.name
        others_of(tmp_path, "pass").communicate("die\n")
        (tmp_path / ".jobs" / "job").rename(tmp_path / ".jobs" / name)
        assert list((tmp_path / ".jobs" / name).iterdir())
        assert len(list(executor.run(tasks_of(videos, how)))) == len(videos)
    assert not list(tmp_path.glob(".*"))


def test_what_dead_processes_of_other_machines_left_goes_when_it_is_old(tmp_path):
    for name, age_seconds in {"old": 25 * 3600, "new": 3600}.items():
        folder = tmp_path / ".jobs" / name
        folder.mkdir(parents=True)
        heart = folder / "worker.tmp-0badcafe-1-2-3"
        heart.touch()
        for path in (heart, folder):
            os.utime(path, (time.time() - age_seconds,) * 2)
    remove_dead_jobs(tmp_path)
    assert [path.name for path in (tmp_path / ".jobs").iterdir()] == ["new"]


def test_a_video_that_killed_its_processes_is_quarantined_and_the_others_are_extracted(tmp_path, videos):
    how = tiny_recipe(tmp_path)
    job = SharedJob(tmp_path, "job", "me").open()
    lot = Lot("lot-1-000", tuple(tasks_of({"v00": videos["v00"]}, how)), deaths=2)
    job.publish(lot)
    for _ in range(2):
        die_with(tmp_path, lot)
    job.publish(Lot("lot-2", tuple(tasks_of({"v01": videos["v01"]}, how))))
    job.end_list()
    with Extractor(how, "cpu") as extractor, closing(Leases(job.files)) as leases:
        assert [outcome.task.video for outcome in work(extractor, job, leases)] == ["v01"]
    refused = [
        outcome for result in job.results() for outcome in result.outcomes if isinstance(outcome, Refused)
    ]
    assert [(one.task.video, one.kind) for one in refused] == [("v00", "crash")]
    (features,) = stored(tmp_path)
    assert features.videos() == ["v01"]
    assert [entry.error_type for entry in features.quarantine.entries()] == ["crash"]


class Forks:
    """Starts processes, one at a time, that extract with these encoders; see Launcher."""

    no_place = ""

    def __init__(self, how, encoders):
        self.how, self.encoders = how, encoders

    def places(self):
        return ["here"]

    def launch(self, place, job):
        return Forked(self.how, self.encoders, job, place)

    def close(self):
        pass


class Forked(Process):
    """See Process."""

    def __init__(self, how, encoders, job, place):
        self._process = multiprocessing.get_context("fork").Process(
            target=self._extract, args=(how, encoders, job, place)
        )
        self._process.start()

    def _extract(self, how, encoders, name, place):
        job = SharedJob(how.store, name, place)
        with Extractor(how, "cpu", encoders) as extractor, closing(Leases(job.files)) as leases:
            list(work(extractor, job, leases))

    def ended(self):
        self.death = f"exit status {self._process.exitcode}" if self._process.exitcode else None
        return self._process.exitcode is not None

    def stop(self):
        self._process.kill()

    def join(self):
        self._process.join()


def driven(tmp_path, videos, dies_above):
    """What becomes of the videos where an encoder ends its process at frames as bright as that."""
    how = replace(tiny_recipe(tmp_path / "store"), commit_seconds=1000.0)
    encoders = {"nss": FragileEncoder(dies_above)}
    with closing(Driver(how, Forks(how, encoders))) as driver:
        got = list(driver.run([VideoTask(video, path, ("nss",)) for video, path in videos.items()]))
    return {outcome.task.video: outcome for outcome in got}


@pytest.mark.slow
def test_a_deadly_video_of_a_small_job_costs_the_others_nothing(tmp_path, videos):
    white = np.full((64, 96, 3), 255, np.uint8)
    deadly = encode(tmp_path / "white.mp4", frames=20, rate=20, picture=white)
    got = driven(tmp_path, {"v00": videos["v00"], "white": deadly, "v01": videos["v01"]}, 250)
    assert {video: type(outcome) for video, outcome in got.items()} == {
        "v00": Extracted,
        "v01": Extracted,
        "white": Refused,
    }
    assert got["white"].kind == "crash"


@pytest.mark.slow
def test_a_machine_that_cannot_extract_refuses_no_video(tmp_path):
    white = np.full((64, 96, 3), 255, np.uint8)
    deadly = {f"v{n}": encode(tmp_path / f"{n}.mp4", frames=20, rate=20, picture=white) for n in range(3)}
    for dies_above in (250, -1):
        with pytest.raises(WorkersLost, match="the same command continues"):
            driven(tmp_path, deadly, dies_above)
        assert not [entry for one in stored(tmp_path / "store") for entry in one.quarantine.entries()]


def test_a_video_that_was_recorded_before_its_processes_died_is_not_refused(tmp_path, videos):
    how = tiny_recipe(tmp_path)
    two = {video: videos[video] for video in ("v00", "half")}
    before = {outcome.task.video: outcome for outcome in undisturbed(how, tasks_of(two, how))}
    job = SharedJob(tmp_path, "job", "me").open()
    for number, task in enumerate(tasks_of(two, how)):
        job.publish(Lot(f"lot-{number}-000", (task,), deaths=1))
        die_with(tmp_path, task)
    job.end_list()
    with Extractor(how, "cpu") as extractor, closing(Leases(job.files)) as leases:
        assert list(work(extractor, job, leases)) == []
    got = {outcome.task.video: outcome for result in job.results() for outcome in result.outcomes}
    assert isinstance(got["v00"], Extracted)
    assert (got["v00"].info, got["v00"].feature_bytes) == (
        before["v00"].info,
        before["v00"].feature_bytes,
    )
    assert isinstance(got["half"], Refused)
    assert got["half"].kind == "truncated"


def test_lots_are_finished_when_their_commit_is_due_and_not_before(tmp_path, videos):
    how = replace(tiny_recipe(tmp_path), commit_seconds=1000.0)
    job = SharedJob(tmp_path, "job", "me").open()
    for number, task in enumerate(tasks_of(videos, how)):
        job.publish(Lot(f"lot-{number}", (task,)))
    job.end_list()
    with Extractor(how, "cpu") as extractor, closing(Leases(job.files)) as leases:
        for _ in work(extractor, job, leases):
            assert list(job.results()) == []
    (features,) = stored(tmp_path)
    assert len({features.part_of(video) for video in features.videos()}) == 1
    assert sum(len(result.outcomes) for result in job.results()) == len(videos)
