"""Whatever is killed, and whenever: the same command again gives the store that an undisturbed run gives."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from extraction import ENCODERS, run_job, videos_in
from small_videos import encode

from store.care.verify import verify
from store.features import FeatureStore

ROOT = Path(__file__).parents[2]

JOB = """
import sys
from pathlib import Path
from extraction import ENCODERS, run_job, videos_in
_, summary = run_job(Path(sys.argv[1]), ENCODERS, videos_in(Path(sys.argv[2])), workers=2, commit_seconds=0.2)
sys.exit(bool(summary.quarantined))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for seconds in (1, 3, 6, 11):
        encode(folder / f"v{seconds}.mp4", frames=25 * seconds, rate=25)
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory):
    store = tmp_path_factory.mktemp("undisturbed")
    run_job(store, ENCODERS, videos_in(folder))
    return store


def start(store, folder):
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, "-c", JOB, str(store), str(folder)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)


def workers_of(process):
    """Numbers of the decode processes of a job: children of the server that forks them."""
    return [worker for server in children_of(process.pid) for worker in children_of(server)]


def children_of(pid):
    with suppress(FileNotFoundError):
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    return []


def committed(store):
    """Videos that all encoders are done with."""
    sets = FeatureStore(store).feature_sets()
    return min((len(features) for features in sets), default=0) if len(sets) == len(ENCODERS) else 0


def release(store):
    """What was killed twice over was no fault of the video's."""
    for features in FeatureStore(store).feature_sets():
        entries = features.quarantine.entries()
        assert {entry.error_type for entry in entries} <= {"crash"}
        features.quarantine.remove([entry.video for entry in entries])


def disturb(store, folder, kills, seed):
    """Kill workers, and now and then the job, at random moments; then let it come to its end."""
    chance = random.Random(seed)
    process = start(store, folder)
    for _ in range(kills):
        time.sleep(chance.uniform(0.05, 1.0))
        workers = workers_of(process)
        if process.poll() is not None or not workers or chance.random() < 0.3:
            process.kill()
            process.wait()
            before = committed(store)
            release(store)
            process = start(store, folder)
            assert committed(store) >= before
        else:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
    while process.wait(600):
        release(store)
        process = start(store, folder)


def assert_equal(store, undisturbed, folder):
    for name, encoder in ENCODERS.items():
        one, other = (FeatureStore(at).find("set", name) for at in (store, undisturbed))
        assert one.videos() == other.videos() == sorted(videos_in(folder))
        assert verify(one) == []
        assert len(one.quarantine) == 0
        for video in one.videos():
            assert one.meta(video) == other.meta(video)
            for stream in encoder.streams:
                np.testing.assert_array_equal(one.read(video, stream), other.read(video, stream))


def test_kills_of_workers_and_job_leave_the_store_of_an_undisturbed_run(tmp_path, folder, undisturbed):
    disturb(tmp_path, folder, kills=3, seed=0)
    assert_equal(tmp_path, undisturbed, folder)
    with FeatureStore(tmp_path).find("set", "mean").writer():
        pass  # which removes what killed writers left
    names = {path.name for path in (tmp_path / "set").glob("mean@*/*")}
    assert not any(".tmp-" in name for name in names)


def test_a_killed_job_loses_no_more_than_was_not_committed(tmp_path, folder, undisturbed):
    process = start(tmp_path, folder)
    deadline = time.monotonic() + 300
    while not committed(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    before = committed(tmp_path)
    assert before
    _, summary = run_job(tmp_path, ENCODERS, videos_in(folder))
    assert (summary.already, summary.done) == (before, len(videos_in(folder)) - before)
    assert_equal(tmp_path, undisturbed, folder)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 11))
def test_a_store_survives_dozens_of_kills(tmp_path, folder, undisturbed, seed):
    disturb(tmp_path, folder, kills=30, seed=seed)
    assert_equal(tmp_path, undisturbed, folder)
    shared = Path("/dev/shm")
    assert not [path for path in shared.iterdir() if path.name.startswith(("pym-", "torch_", "psm_"))]
