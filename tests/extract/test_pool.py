import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bad_videos import broken
from extraction import run_job
from fragile_encoder import DeviceEncoder, FragileEncoder
from small_videos import encode

from extract.tasks import Refused, VideoTask
from extract.video.decode import decode
from extract.video.view import FrameRequest, View
from extract.workers import pool as pools
from extract.workers.messages import Decoded, Ended, Lost
from extract.workers.pool import DecodePool, WorkerFailed
from store.features import FeatureStore

ROOT = Path(__file__).parents[2]
SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("videos") / "v.mp4", frames=60, rate=20)


@pytest.fixture
def pool():
    """A function that starts a pool; it is closed after the test."""
    pools = []

    def start(encoders, workers=1, time_budget_seconds=60.0):
        pools.append(DecodePool(encoders, workers, time_budget_seconds))
        return pools[-1]

    yield start
    for one in pools:
        one.close()


def alive(pid):
    """Whether the process runs, and is no zombie."""
    try:
        return b") Z " not in Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=200.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


PROGRAM = """
import sys
from pathlib import Path
import zarr
from extract.workers.pool import DecodePool
from extract.tasks import VideoTask
from extract.encoders.nss.encoder import NssEncoder
from fragile_encoder import SeesModules
pool = DecodePool({"mean": SeesModules(), "nss": NssEncoder()}, 1, 60.0)
events = filter(None, pool.events([VideoTask("v", Path(sys.argv[1]), ("mean",))]))
print([float(m.features["mean"].max()) for _, m in events
       if hasattr(m, "features")])
"""


def test_workers_do_without_torch_and_the_program_that_started_them(tmp_path, video):
    (tmp_path / "program.py").write_text(PROGRAM)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    program = [sys.executable, str(tmp_path / "program.py"), str(video)]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=600)
    assert (done.stdout.strip(), done.stderr) == ("[0.0, 0.0, 0.0]", "")


class Native(DeviceEncoder):
    """Frames in their own size, of all sizes at once."""

    def __init__(self):
        super().__init__()
        self.view = View(
            {
                "luma": FrameRequest(4, "uniform", colour="luma"),
                "all": FrameRequest(7, "uniform"),
                "small": FrameRequest(1, "first", (8, 8)),
            }
        )


@pytest.mark.parametrize(("pieces", "piece_bytes"), [(16, 1 << 20), (2, 1000), (1, 64)])
def test_frames_come_through_shared_memory_as_they_were(pool, video, monkeypatch, pieces, piece_bytes):
    monkeypatch.setattr("extract.workers.decode_process.PIECES", pieces)
    monkeypatch.setattr("extract.workers.decode_process.PIECE_BYTES", piece_bytes)
    encoder = Native()
    events = pool({"native": encoder}).events([VideoTask("v", video, ("native",))])
    sent = [message.chunk for _, message in filter(None, events) if isinstance(message, Decoded)]
    made = [chunk for _, chunk in decode(video, {"native": encoder.view})]
    assert [(c.index, c.start_seconds) for c in sent] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    for one, other in zip(sent, made, strict=True):
        assert one.frames.keys() == other.frames.keys()
        for name, frames in other.frames.items():
            np.testing.assert_array_equal(one.frames[name], frames)


def outcome_of(events):
    """Video → its last message, and the videos of which an attempt was lost."""
    last, lost = {}, []
    for attempt, message in filter(None, events):
        if isinstance(message, Lost):
            lost.append(attempt.task.video)
        last[attempt.task.video] = message
    return last, lost


def test_a_crash_takes_only_its_own_video_along_and_is_tried_twice(pool, tmp_path):
    white = np.full((64, 96, 3), 255, np.uint8)
    crash = encode(tmp_path / "crash.mp4", frames=20, rate=20, picture=white)
    dark = {f"v{n}": encode(tmp_path / f"v{n}.mp4", frames=20, rate=20) for n in range(2)}
    tasks = [VideoTask(video, path, ("mean",)) for video, path in {"crash": crash, **dark}.items()]
    last, lost = outcome_of(pool({"mean": FragileEncoder(250)}, workers=1).events(tasks))
    assert lost == ["crash"]
    assert isinstance(last["crash"], Refused)
    assert last["crash"].kind == "crash"
    assert "exit code 11" in last["crash"].message
    assert all(isinstance(last[video], Ended) for video in dark)


def test_a_killed_worker_is_replaced_and_its_video_done_once_more(pool, video):
    decoders = pool({"mean": FragileEncoder()}, workers=1)
    tasks = [VideoTask(f"v{n}", video, ("mean",)) for n in range(3)]
    killed, lost, last = [], [], {}
    for attempt, message in filter(None, decoders.events(tasks)):
        if attempt.task.video == "v1" and not killed:
            killed = decoders.pids
            os.kill(killed[0], signal.SIGKILL)
        if isinstance(message, Lost):
            lost.append(attempt.task.video)
        last[attempt.task.video] = message
    # The worker may be ahead of what is read of it: with v1 done, it was about to get v2.
    assert lost in (["v1"], ["v2"], [])
    assert killed[0] not in decoders.pids
    assert all(isinstance(message, Ended) for message in last.values())


class Defective(FragileEncoder):
    def encode(self, chunks):
        raise ZeroDivisionError(f"a defect with {len(chunks)} chunk")


def test_a_defect_fails_the_video_and_not_its_worker(pool, video):
    decoders = pool({"bad": Defective(), "mean": FragileEncoder()})
    last, _ = outcome_of(decoders.events([VideoTask("v", video, ("bad",))]))
    (pid,) = decoders.pids
    assert (last["v"].kind, "ZeroDivisionError: a defect with 1" in last["v"].message) == ("defect", True)
    last, _ = outcome_of(decoders.events([VideoTask("v", video, ("mean",))]))
    assert isinstance(last["v"], Ended)
    assert decoders.pids == [pid]


def test_a_worker_that_hangs_is_killed_and_its_video_times_out(pool, video, tmp_path, monkeypatch):
    long = encode(tmp_path / "long.mp4", frames=2400, rate=20)  # far from its end when the worker is stopped
    monkeypatch.setattr(pools, "_TICK_SECONDS", 0.1)
    decoders = pool({"mean": FragileEncoder()}, workers=1, time_budget_seconds=8.0)
    tasks = [VideoTask("v0", long, ("mean",)), VideoTask("v1", video, ("mean",))]
    stopped, last = [], {}
    for attempt, message in filter(None, decoders.events(tasks)):
        if not stopped:
            stopped = decoders.pids
            os.kill(stopped[0], signal.SIGSTOP)
        last[attempt.task.video] = message
    assert last["v0"].kind == "timeout"
    assert "--time-budget" in last["v0"].message
    assert isinstance(last["v1"], Ended)
    assert not alive(stopped[0])


def test_the_time_that_a_worker_waits_for_us_does_not_count(pool, video, monkeypatch):
    monkeypatch.setattr("extract.workers.decode_process.PIECES", 1)
    encoder = DeviceEncoder()
    events = pool({"mean": encoder}, time_budget_seconds=2.0).events([VideoTask("v", video, ("mean",))])
    seen = 0
    for _, message in filter(None, events):
        assert not isinstance(message, Refused)
        if isinstance(message, Decoded):
            seen += 1
            time.sleep(2.5)
    assert seen == 3


class DoesNotStart(FragileEncoder):
    """Cannot be unpickled in the worker."""

    def __reduce__(self):
        return (os._exit, (3,))


def test_workers_that_cannot_start_are_no_fault_of_the_videos(pool, video):
    decoders = pool({"mean": DoesNotStart()})
    with pytest.raises(WorkerFailed, match=r"exit code 3"):
        list(decoders.events([VideoTask("v", video, ("mean",))]))


def test_events_that_are_not_read_to_the_end_give_their_video_up(pool, video):
    decoders = pool({"mean": FragileEncoder()})
    events = decoders.events([VideoTask("v", video, ("mean",))])
    next(event for event in events if event)
    (pid,) = decoders.pids
    events.close()
    assert not alive(pid)
    last, _ = outcome_of(decoders.events([VideoTask("v", video, ("mean",))]))
    assert isinstance(last["v"], Ended)


ORPHANS = """
import sys
from pathlib import Path
from fragile_encoder import FragileEncoder
from extract.workers.pool import DecodePool
from extract.tasks import VideoTask
pool = DecodePool({"mean": FragileEncoder()}, 2, 60.0)
tasks = [VideoTask(str(n), Path(sys.argv[1]), ("mean",)) for n in range(10_000)]
for number, _ in enumerate(pool.events(tasks)):
    if number == 50:
        print(*pool.pids, flush=True)
"""


def test_workers_end_with_the_process_that_started_them_and_leave_nothing(video):
    before = set(SHARED_MEMORY.iterdir())
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    program = [sys.executable, "-c", ORPHANS, str(video)]
    parent = subprocess.Popen(
        program, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    )
    with parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        parent.kill()
    wait_for(lambda: not any(alive(pid) for pid in pids))
    assert set(SHARED_MEMORY.iterdir()) <= before


FAULTS = (
    *("absent", "folder", "fifo", "empty", "text", "random", "playlist", "no-moov", "sound"),
    *("half", "half-mkv", "timescale", "bit-rot", "no-first-key-frame"),
)


def test_a_hundred_good_and_thirty_bad_files_all_come_to_an_end(tmp_path, video):
    bad = {}
    for fault in FAULTS:
        folder = tmp_path / fault
        folder.mkdir()
        bad[fault] = broken(folder, fault)
    whole = video.read_bytes()
    for n in range(30 - len(bad)):
        cut = tmp_path / f"cut{n}.mp4"
        cut.write_bytes(whole[: 40 + n * len(whole) // 32])
        bad[cut.stem] = cut
    good = {f"good{n:03}": video for n in range(100)}
    encoders = {"mean": FragileEncoder(), "device": DeviceEncoder(batch=7)}
    _, summary = run_job(tmp_path / "store", encoders, {**good, **bad}, workers=2)
    assert summary.done == 100
    assert summary.quarantined.keys() == bad.keys()
    assert len(bad) == 30
    for video_id, refusal in summary.quarantined.items():
        assert str(bad[video_id]) in refusal.reason
        assert refusal.kind not in ("defect", "crash", "timeout")
    for name in encoders:
        assert FeatureStore(tmp_path / "store").find("set", name).videos() == sorted(good)
