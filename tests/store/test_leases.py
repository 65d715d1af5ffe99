"""Leases: of any number of processes one has a piece of work, and the dead let go."""

import os
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from store.durable import owner
from store.errors import WriteFailed
from store.files import files_at
from store.leases import Leases, leased

ROOT = Path(__file__).parents[2]

TAKE_AND_DIE = """
import os, sys
from store.leases import Leases
from store.files import files_at
leases = Leases(files_at(sys.argv[1], "work"))
assert leases.take("lot")
os._exit(9)
"""

TAKE_ALL = """
import sys
from store.leases import Leases
from store.files import files_at
leases = Leases(files_at(sys.argv[1], "work"))
sys.stdin.readline()
taken = [name for name in map(str, range(200)) if leases.take(name)]
print(*taken, flush=True)
sys.stdin.readline()
"""


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return tmp_path if request.param == "folder" else f"memory://bucket/{uuid.uuid4().hex}"


def start(program: str, root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(root)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_lease_is_of_one_until_it_is_released(root):
    files = files_at(root, "work", durable=False)
    files.make()
    with closing(Leases(files)) as one, closing(Leases(files)) as other:
        lease = one.take("lot")
        assert lease is not None
        assert (other.take("lot"), one.take("lot")) == (None, None)
        assert leased(files.names()) == {"lot"}
        one.release(lease)
        again = other.take("lot")
        assert again is not None
        assert again.takeovers == 0
        other.release(again)
    assert files.names() == []
    files.remove_all()
    assert not Path(str(root), "work").exists()


def test_of_many_processes_each_lease_goes_to_one(tmp_path):
    files_at(tmp_path, "work").make()
    processes = [start(TAKE_ALL, tmp_path) for _ in range(4)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [process.stdout.readline().split() for process in processes]
    for process in processes:
        process.communicate("end\n")
    assert sorted(name for names in taken for name in names) == sorted(map(str, range(200)))


def test_a_dead_process_of_this_machine_loses_its_leases_at_once_and_each_death_counts(tmp_path):
    files = files_at(tmp_path, "work")
    files.make()
    for _ in range(3):
        with start(TAKE_AND_DIE, tmp_path) as process:
            assert process.wait() == 9
    with closing(Leases(files)) as leases:
        lease = leases.take("lot")
        assert lease is not None
        assert lease.takeovers == 3
        leases.abandon(lease)
        lease = leases.take("lot")
        assert lease is not None
        assert lease.takeovers == 3
        leases.release(lease)
        lease = leases.take("lot")
        assert lease is not None
        assert lease.takeovers == 0


BUSY_SECONDS = 4.0
"""An expiry that a living process keeps on a machine that lets it wait for a second."""


def on_another_host(monkeypatch, files, **options):
    """Leases whose owner's name says another machine, though the host name is the same."""
    with monkeypatch.context() as patch:
        patch.setattr(owner, "_host", lambda: "0badcafe")
        return Leases(files, **options)


@pytest.mark.slow
def test_a_process_of_another_machine_with_the_same_host_name_is_dead_only_when_its_count_stands_still(
    root, monkeypatch
):
    files = files_at(root, "work", durable=False)
    files.make()
    there = on_another_host(monkeypatch, files, expiry_seconds=BUSY_SECONDS)
    lease = there.take("lot")
    assert lease is not None
    with closing(Leases(files, expiry_seconds=BUSY_SECONDS)) as here:
        for _ in range(12):
            assert here.take("lot") is None
            time.sleep(BUSY_SECONDS / 8)
        there.close()
        deadline = time.monotonic() + 60
        while (lease := here.take("lot")) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert lease is not None
        assert lease.takeovers == 1


def test_clocks_that_disagree_do_not_matter(tmp_path, monkeypatch):
    files = files_at(tmp_path, "work")
    files.make()
    with (
        closing(on_another_host(monkeypatch, files, expiry_seconds=30)) as there,
        closing(Leases(files)) as here,
    ):
        assert there.take("lot")
        for path in (tmp_path / "work").iterdir():
            os.utime(path, (0, 0))
        assert here.take("lot") is None


def test_a_lease_without_an_owner_yet_is_left_alone_for_a_while(tmp_path):
    files = files_at(tmp_path, "work")
    files.make()
    (tmp_path / "work" / "lot.lease-0").touch()
    with closing(Leases(files, expiry_seconds=0.3)) as leases:
        assert leases.take("lot") is None
        time.sleep(0.4)
        assert leases.take("lot") is not None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(WriteFailed, match=r"work/lot.*No such file.*Committed videos are safe"):
        files_at(tmp_path, "work").write("lot", b"")


def test_who_has_a_lease_on_another_machine_lives_while_its_heart_beats(root, monkeypatch):
    files = files_at(root, "work")
    files.make()
    there = on_another_host(monkeypatch, files, expiry_seconds=BUSY_SECONDS)
    with closing(Leases(files, expiry_seconds=BUSY_SECONDS)) as here:
        assert here.take("mine")
        assert not here.others_alive()
        assert there.take("lot")
        assert here.others_alive()
        there._closed.set()
        there._heart.join()
        assert not here.others_alive()
    assert not [name for name in files.names() if name.startswith("worker.")]
