"""The files of a store, where the operating system refuses."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from stored_videos import feature_set, write

from store.durable import commit
from store.errors import ReadFailed, StoreMissing, WriteFailed
from store.features import FeatureStore
from store.files import Files, files_at
from store.leases import Leases


@pytest.fixture
def closed() -> Iterator[Path]:
    """A store whose folder `work` nobody may enter, not even who is root otherwise."""
    # Not in tmp_path, which nobody but root could enter.
    with TemporaryDirectory() as name:
        user, root = os.geteuid(), Path(name)
        root.chmod(0o755)
        (root / "work").mkdir()
        (root / "work" / "file").write_bytes(b"x")
        (root / "store.json").touch()
        (root / "work").chmod(0)
        try:
            if user == 0:
                os.seteuid(65534)
            yield root
        finally:
            os.seteuid(user)
            (root / "work").chmod(0o755)


@pytest.mark.parametrize(
    "use",
    [
        lambda files: files.names(),
        lambda files: files.stamps(),
        lambda files: files.read("file"),
        lambda files: files.exists("file"),
        lambda files: files.last_change("file"),
        lambda files: files.size_bytes("file"),
    ],
)
def test_a_read_that_is_refused_names_the_file_and_what_to_do(
    closed: Path, use: Callable[[Files], object]
) -> None:
    with pytest.raises(ReadFailed, match=r"work.* cannot be read: Permission denied.*access"):
        use(files_at(closed, "work"))


@pytest.mark.parametrize(
    "use",
    [
        lambda files: files.write("new", b""),
        lambda files: files.create("new", b""),
        lambda files: files.append("new", b""),
        lambda files: files.remove("file"),
        lambda files: Leases(files),
    ],
)
def test_a_write_that_is_refused_names_the_file(closed: Path, use: Callable[[Files], object]) -> None:
    with pytest.raises(WriteFailed, match=r"work/.*: Permission denied\. Committed videos are safe"):
        use(files_at(closed, "work"))


def test_a_folder_that_may_not_be_entered_hides_no_feature_set(closed: Path) -> None:
    assert FeatureStore(closed).paths() == []


def test_a_disk_that_fails_while_it_is_listed_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = feature_set(tmp_path)
    write(features, ["a"])

    def fail(path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(os, "scandir", fail)
    uses: list[Callable[[], object]] = [
        features.refresh,
        feature_set(tmp_path).videos,
        features.quarantine.entries,
        FeatureStore(tmp_path).paths,
        features.clean,
    ]
    for use in uses:
        with pytest.raises(ReadFailed, match=r"Input/output error.*check the disk"):
            use()


def test_a_store_whose_path_is_a_file_is_refused_and_the_file_kept(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("notes")
    with pytest.raises(StoreMissing, match="store is a file: expected a store's folder"):
        files_at(tmp_path / "store", "demo").make()
    assert (tmp_path / "store").read_text() == "notes"


def test_files_that_have_gone_with_their_folder_are_no_error(tmp_path: Path) -> None:
    files = files_at(tmp_path, "work")
    files.make()
    files.remove("parts-00001/x.json", "y.json")


@pytest.mark.slow
def test_a_slow_disk_loses_no_part_while_it_is_synced_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_file, sync_file = Path.replace, commit.sync

    def slowly_replaced(path: Path, target: Path) -> Path:
        time.sleep(0.02)
        return replace_file(path, target)

    def slowly_synced(path: Path) -> None:
        time.sleep(0.005)
        sync_file(path)

    monkeypatch.setattr(Path, "replace", slowly_replaced)
    monkeypatch.setattr(commit, "sync", slowly_synced)
    monkeypatch.setattr("store.write.writer._SYNC_BYTES", 1)
    features = FeatureStore(tmp_path / "store").feature_set("demo", "many", {"made": "for tests"})
    for number in range(4):
        with features.writer() as writer:
            for video in range(3):
                block = np.full((2, 4), video, np.float32)
                writer.add(f"{number}-{video}", dict.fromkeys("abcd", block))
    assert len(features) == 12
