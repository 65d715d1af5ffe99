import multiprocessing
import os
import random
import re
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from several_runners import assert_same_features, stored, tasks_of, tiny_recipe, undisturbed
from small_videos import cut_in_half, encode

from config.schema import EncoderSettings
from extract.errors import EncoderError
from extract.executors.base import WorkersLost
from extract.executors.local import local_executor
from extract.tasks import Refused

ROOT = Path(__file__).parents[2]
GOOD = 16


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Good videos of different length, a truncated one and one that is not there."""
    folder = tmp_path_factory.mktemp("videos")
    files = {f"v{n:02}": encode(folder / f"v{n:02}.mp4", frames=20 + 3 * n, rate=20) for n in range(GOOD)}
    whole = encode(folder / "whole.mkv", frames=60, rate=20)
    files["half"] = cut_in_half(whole, folder / "half.mkv")
    files["absent"] = folder / "absent.mp4"
    return files


def kill_a_worker(store):
    """Kill one of two processes as soon as both have a lot, of many."""
    while len(list(store.glob(".jobs/*/*.lease-*"))) < 2:
        time.sleep(0.001)
    multiprocessing.active_children()[0].kill()


@pytest.mark.slow
def test_a_killed_process_costs_nothing_but_time(tmp_path, videos, caplog):
    how = tiny_recipe(tmp_path / "alone")
    tasks = tasks_of(videos, how)
    undisturbed(how, tasks)
    disturbed = tiny_recipe(tmp_path / "killed")
    killer = threading.Thread(target=kill_a_worker, args=(disturbed.store,), daemon=True)
    with closing(local_executor(disturbed, ["cpu", "cpu"], {})) as executor:
        killer.start()
        got = list(executor.run(tasks))
        assert {"run", "decode", "encode in workers", "write"} <= executor.phases.seconds.keys()
    assert sorted(outcome.task.video for outcome in got) == sorted(videos)
    refusals = {outcome.task.video: outcome.kind for outcome in got if isinstance(outcome, Refused)}
    assert refusals == {"half": "truncated", "absent": "missing_file"}
    assert_same_features(how.store, disturbed.store)
    assert re.search(r"the process on cpu( \(2\))? died \(SIGKILL\); its videos go to others", caplog.text)
    assert multiprocessing.active_children() == []
    assert not list(disturbed.store.glob(".*"))


def test_stopping_keeps_what_was_finished_and_the_next_run_goes_on(tmp_path, videos):
    how = tiny_recipe(tmp_path)
    good = {f"{video}/{n}": path for video, path in videos.items() for n in range(8) if path.stem[0] == "v"}
    tasks = tasks_of(good, how)
    with closing(local_executor(how, ["cpu", "cpu"], {})) as executor:
        with closing(executor.run(tasks)) as outcomes:
            finished = {next(outcomes).task.video for _ in range(5)}
        assert multiprocessing.active_children() == []
        assert not list(how.store.glob(".*"))
        (features,) = stored(how.store)
        before = set(features.videos())
        assert finished <= before
        assert len(before) < len(good)
        rest = list(executor.run([task for task in tasks if task.video not in before]))
    features.refresh()
    assert len(rest) == len(good) - len(before)
    assert len(features) == len(good)


def test_devices_whose_processes_die_again_and_again_are_given_up(tmp_path, videos):
    over = threading.Event()

    def kill_all():
        while not over.wait(0.01):
            for child in multiprocessing.active_children():
                child.kill()

    how = tiny_recipe(tmp_path)
    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        with (
            closing(local_executor(how, ["cpu", "cpu"], {})) as executor,
            pytest.raises(WorkersLost, match=r"on cpu, cpu \(2\) died.*the same command continues"),
        ):
            list(executor.run(tasks_of(videos, how)))
    finally:
        over.set()
        killer.join()


def test_what_a_person_must_put_right_is_raised_here(tmp_path, videos):
    how = tiny_recipe(tmp_path / "store", EncoderSettings(name="videval", kind="external"))
    with (
        closing(local_executor(how, ["cpu", "cpu"], {})) as executor,
        pytest.raises(EncoderError, match=r"encoders\.videval is external"),
    ):
        list(executor.run(tasks_of(videos, how)))


def test_nothing_is_launched_where_there_is_nothing_to_do(tmp_path, videos, monkeypatch):
    def refused(process):
        pytest.fail(f"{process} was started")

    monkeypatch.setattr("multiprocessing.process.BaseProcess.start", refused)
    how = tiny_recipe(tmp_path)
    done = [replace(task, encoders=()) for task in tasks_of(videos, how)]
    with closing(local_executor(how, ["cpu", "cpu"], {})) as executor:
        assert list(executor.run(done)) == []
    assert {path.name for path in tmp_path.iterdir()} <= {"store.json"}


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
def test_kills_at_any_moment_leave_the_store_of_an_undisturbed_run(tmp_path, videos, seed):
    chance = random.Random(seed)
    how = tiny_recipe(tmp_path / "alone")
    many = {f"{video}/{n}": path for video, path in videos.items() for n in range(10)}
    undisturbed(how, tasks_of(many, how))
    disturbed = tiny_recipe(tmp_path / "killed", commit_seconds=0.0)
    got = []
    with closing(local_executor(disturbed, ["cpu", "cpu"], {})) as executor:
        for outcome in executor.run(tasks_of(many, disturbed)):
            got.append(outcome)
            # At most a kill for every few lots, as a place that only dies is given up.
            if len(got) % 10 == 0:
                time.sleep(chance.uniform(0, 0.1))
                chance.choice(multiprocessing.active_children()).kill()
    assert sorted(outcome.task.video for outcome in got) == sorted(many)
    assert_same_features(how.store, disturbed.store)


ENDLESS = """
import multiprocessing, sys
from pathlib import Path
from several_runners import tasks_of, tiny_recipe
from extract.executors.local import local_executor
if __name__ == "__main__":
    how = tiny_recipe(Path(sys.argv[1]), workers=1)
    videos = {f"v{n}": Path(sys.argv[2]) for n in range(2000)}
    for _ in local_executor(how, ["cpu", "cpu"], {}).run(tasks_of(videos, how)):
        print("going", flush=True)
"""


@pytest.mark.soak
def test_no_process_outlives_one_that_was_killed(tmp_path, videos):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, script, tmp_path / "store", videos["v00"]]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout.readline() == b"going\n"
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2
        process.kill()
    deadline = time.monotonic() + 200
    while any(one.is_running() for one in family) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(one.is_running() for one in family)
