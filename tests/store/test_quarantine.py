import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stored_videos import feature_set

from store.durable import owner
from store.errors import ReadFailed


def test_entries_come_back_in_order_and_a_later_one_replaces(tmp_path: Path) -> None:
    quarantine = feature_set(tmp_path).quarantine
    assert quarantine.entries() == []
    quarantine.add("a.mp4", "zero bytes", "empty_file", tmp_path / "a.mp4")
    quarantine.add("b.mp4", "no frames", "no_frames")
    quarantine.add("a.mp4", "half of it is missing", "truncated")
    entries = feature_set(tmp_path).quarantine.entries()
    assert [(e.video, e.error_type, e.reason) for e in entries] == [
        ("b.mp4", "no_frames", "no frames"),
        ("a.mp4", "truncated", "half of it is missing"),
    ]
    assert entries[0].time.endswith("+00:00")
    assert len(quarantine) == 2


def test_the_set_exists_once_a_video_is_in_quarantine(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    features.quarantine.add("a", "reason", "kind", Path("videos/a.mp4"))
    assert (features.path / "feature.json").is_file()
    assert features.quarantine.entries()[0].path == str(Path("videos/a.mp4"))


def test_removed_videos_are_off_the_list_until_added_again(tmp_path: Path) -> None:
    quarantine = feature_set(tmp_path).quarantine
    for video in "abc":
        quarantine.add(video, "reason", "kind")
    quarantine.remove(["a", "c", "never there"])
    quarantine.remove("b")
    assert quarantine.entries() == []
    quarantine.remove(["a"])
    quarantine.add("c", "again", "kind")
    assert [entry.video for entry in quarantine.entries()] == ["c"]


def test_a_half_written_line_costs_only_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    quarantine = feature_set(tmp_path).quarantine
    quarantine.add("whole", "reason", "kind")
    (own,) = tmp_path.glob("*/*/quarantine-*.jsonl")
    with own.open("a") as file:
        file.write('{"video": "half", "rea')
    assert [entry.video for entry in quarantine.entries()] == ["whole"]
    with caplog.at_level(logging.WARNING):
        quarantine.add("next", "reason with\nline break", "kind")
        assert [entry.video for entry in quarantine.entries()] == ["whole", "next"]
    assert f"{own}: line 2" in caplog.text
    assert [entry.video for entry in feature_set(tmp_path).quarantine.entries()] == ["whole", "next"]


def test_each_line_is_json(tmp_path: Path) -> None:
    feature_set(tmp_path).quarantine.add('"quoted" ü', "reason", "kind")
    (own,) = tmp_path.glob("*/*/quarantine-*.jsonl")
    assert json.loads(own.read_text())["video"] == '"quoted" ü'


def test_the_shared_file_of_earlier_versions_is_read_and_no_more_written(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    features.create()
    old = features.path / "quarantine.jsonl"
    entry = {
        "video": "a",
        "reason": "r",
        "error_type": "k",
        "path": None,
        "time": "2026-01-01T00:00:00+00:00",
    }
    lines = [entry, entry | {"video": "b"}, {"removed": ["b"], "time": "2025-12-31T00:00:00+00:00"}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    old.write_text(text)
    assert [e.video for e in features.quarantine.entries()] == ["a"]
    features.quarantine.add("c", "reason", "kind")
    features.quarantine.remove("a")
    assert [e.video for e in feature_set(tmp_path).quarantine.entries()] == ["c"]
    assert old.read_text() == text


def test_what_a_machine_with_a_lagging_clock_says_later_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead, lagging = feature_set(tmp_path), feature_set(tmp_path)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 3600 * 10**9)
    ahead.quarantine.add("a", "no frames", "no_frames")
    monkeypatch.setattr(time, "time_ns", lambda: now)
    monkeypatch.setattr(owner, "_own", (os.getpid(), "0" * 32))
    lagging.quarantine.remove("a")
    assert feature_set(tmp_path).quarantine.entries() == [] == ahead.quarantine.entries()
    lagging.quarantine.add("a", "truncated", "truncated")
    assert [entry.reason for entry in ahead.quarantine.entries()] == ["truncated"]
    assert len(list(lagging.path.glob("quarantine-*.jsonl"))) == 2


def test_processes_have_a_file_each(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    features.quarantine.add("parent", "reason", "kind")
    child = os.fork()
    if not child:
        features.quarantine.add("child", "reason", "kind")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [entry.video for entry in features.quarantine.entries()] == ["parent", "child"]
    assert len(list(features.path.glob("quarantine-*.jsonl"))) == 2


def test_a_write_that_is_cut_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:7])))
    features = feature_set(tmp_path)
    features.quarantine.add("whole", "reason", "kind")
    assert [entry.video for entry in feature_set(tmp_path).quarantine.entries()] == ["whole"]


def test_appends_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: features.quarantine.add(f"v{n}", "reason", "kind"), range(60)))
    assert {entry.video for entry in features.quarantine.entries()} == {f"v{n}" for n in range(60)}


def test_a_file_that_is_deleted_under_a_running_process_is_forgotten(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    features.quarantine.add("a", "reason", "kind")
    (file,) = features.path.glob("quarantine-*.jsonl")
    file.unlink()
    assert features.quarantine.entries() == []
    features.quarantine.add("b", "reason", "kind")
    features.quarantine.remove("a")
    for quarantine in (features.quarantine, feature_set(tmp_path).quarantine):
        assert [entry.video for entry in quarantine.entries()] == ["b"]


def test_a_quarantine_that_cannot_be_read_names_its_file(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    features.create()
    (features.path / "quarantine-odd.jsonl").mkdir()  # reading it fails as a disk may fail: by an OSError
    with pytest.raises(ReadFailed, match=r"quarantine-odd\.jsonl cannot be read: Is a directory"):
        features.quarantine.entries()
