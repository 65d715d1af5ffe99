import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stored_videos import assert_holds, feature_set, features_of, marker_of, write

from store.care.garbage import collect
from store.care.verify import verify
from store.durable import owner
from store.durable.owner import owner_alive, temporary_name
from store.errors import WriteFailed

BACKENDS = pytest.mark.parametrize("backend", ["zarr", "hdf5"])


def run_writers(root: Path, store: Path, mode: str, backend: str = "zarr") -> None:
    program = root / "tests" / "stored_videos.py"
    environment = os.environ | {"PYTHONPATH": str(root)}
    subprocess.run([sys.executable, program, store, mode, backend], check=True, env=environment, timeout=600)


@BACKENDS
def test_what_killed_writers_committed_is_whole_and_the_rest_is_litter(
    root: Path, tmp_path: Path, backend: str
) -> None:
    run_writers(root, tmp_path, "kill", backend)
    features = feature_set(tmp_path)
    videos = features.videos()
    assert videos
    assert_holds(features, videos)
    assert verify(features) == []
    assert any(".tmp-" in path.name for path in features.path.iterdir())
    write(feature_set(tmp_path, backend), ["resumed"])
    features.refresh()
    assert_holds(feature_set(tmp_path), [*videos, "resumed"])
    parts = {features.part_of(video) for video in features.videos()}
    markers = {str(marker_of(features, video)) for video in features.videos()}
    assert {path.name for path in features.path.iterdir()} == {"feature.json", "parts-00000"}
    assert set((features.path / "parts-00000").iterdir()) == {
        features.path / name for name in parts | markers
    }


@pytest.mark.slow
@BACKENDS
def test_four_processes_write_one_set_at_once(root: Path, tmp_path: Path, backend: str) -> None:
    run_writers(root, tmp_path, "together", backend)
    features = feature_set(tmp_path)
    assert features.videos() == sorted(f"writer{w}/{n}" for w in range(4) for n in range(30))
    assert_holds(features, features.videos())
    assert features.clean() == []


@BACKENDS
def test_an_error_drops_the_open_part_and_keeps_what_was_flushed(tmp_path: Path, backend: str) -> None:
    features = feature_set(tmp_path, backend)
    with pytest.raises(KeyboardInterrupt), features.writer() as writer:
        writer.add("kept", features_of("kept"))
        writer.flush()
        writer.add("lost", features_of("lost"))
        raise KeyboardInterrupt
    assert features.videos() == ["kept"]
    assert features.clean() == []
    write(features, ["lost"])
    assert_holds(feature_set(tmp_path), ["kept", "lost"])


def test_a_part_in_the_making_is_not_litter(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with features.writer() as writer:
        writer.add("v", features_of("v"))
        assert any(path.name.startswith("part.tmp-") for path in features.path.iterdir())
        assert feature_set(tmp_path).clean() == []
    assert_holds(feature_set(tmp_path), ["v"])


def test_a_part_whose_marker_is_about_to_be_named_is_kept_while_its_writer_lives(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, ["v"])
    part = features.part_of("v")
    mine = temporary_name("part", part.rpartition("part-")[2])
    pending = marker_of(features, "v").rename(features.path / f"{mine}.json")
    assert features.clean() == []
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = pending.rename(features.path / f"{mine.replace(f'-{os.getpid()}-', f'-{gone.pid}-')}.json")
    assert sorted(features.clean()) == sorted([part, dead.name])
    assert {path.name for path in features.path.rglob("*")} == {"feature.json", "parts-00000"}


def test_litter_whose_writer_cannot_be_asked_goes_after_a_day(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    features.create()
    foreign = features.path / "part.tmp-0badhost-1-1-abc"
    unowned = features.path / "part-abcdef"
    for folder in (foreign, unowned):
        folder.mkdir()
        (folder / "zarr.json").touch()
    assert features.clean() == []
    long_ago = time.time() - 25 * 3600
    for path in (foreign, unowned):
        os.utime(path, (long_ago, long_ago))
    assert features.clean() == []
    for path in (foreign, unowned):
        os.utime(path / "zarr.json", (long_ago, long_ago))
    assert features.clean() == [unowned.name, foreign.name]


def test_a_number_that_another_process_has_now_is_not_the_writer() -> None:
    mine = temporary_name("part")
    assert owner_alive(mine) is True
    host, pid, start, unique = mine.removeprefix("part.tmp-").split("-")
    assert owner_alive(f"part.tmp-{host}-{pid}-{int(start) + 1}-{unique}") is False
    assert owner_alive(f"part.tmp-elsewhere-{pid}-{start}-{unique}") is None
    assert owner_alive("part.tmp-odd") is None


def test_a_host_of_the_same_name_is_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = feature_set(tmp_path / "store")
    boot = tmp_path / "boot_id"
    boot.write_text("2f6e1f7a-another-machine\n")
    with features.writer() as writer:
        writer.add("v", features_of("v"))
        (temporary,) = features.path.glob("part.tmp-*")
        assert owner_alive(temporary.name) is True
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(owner, "_BOOT_ID", boot)
            assert owner_alive(temporary.name) is None
            assert feature_set(tmp_path / "store").clean() == []
    assert_holds(feature_set(tmp_path / "store"), ["v"])


def test_gc_finds_a_part_that_lost_its_marker_in_any_folder(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    write(features, ["v"])
    name = features.part_of("v")
    part = features.path / name
    marker_of(features, "v").unlink()
    assert collect(features).litter == {}
    long_ago = time.time() - 25 * 3600
    for path in [part, *part.rglob("*")]:
        os.utime(path, (long_ago, long_ago))
    assert features.clean() == []
    assert list(collect(features).litter) == [name] and not part.exists()


def test_a_folder_that_vanishes_is_a_write_that_failed(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with features.writer() as writer:
        writer.add("kept", features_of("kept"))
        writer.flush()
        writer.add("lost", features_of("lost"))
        (temporary,) = features.path.glob("part.tmp-*")
        shutil.rmtree(temporary)
        temporary.write_text("")
        with pytest.raises(WriteFailed, match=r"'lost'.*Committed videos are safe"):
            writer.flush()
    assert features.videos() == ["kept"]
    assert_holds(feature_set(tmp_path), ["kept"])


@pytest.mark.soak
@BACKENDS
def test_a_store_survives_round_after_round_of_killed_writers(
    root: Path, tmp_path: Path, backend: str
) -> None:
    for trial in range(40):
        run_writers(root, tmp_path, "kill", backend)
        features = feature_set(tmp_path)
        assert_holds(features, features.videos())
        assert verify(features) == []
        write(feature_set(tmp_path, backend), [f"resumed {trial}"])
        assert not any(".tmp-" in path.name for path in features.path.iterdir())


def test_a_process_that_has_ended_but_was_not_reaped_owns_nothing(root: Path) -> None:
    program = "from store.durable.owner import temporary_name; print(temporary_name('part'))"
    child = subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    child.stdout.close()
    while b") Z " not in Path(f"/proc/{child.pid}/stat").read_bytes():
        time.sleep(0.01)
    assert owner_alive(name) is False
    child.wait()
