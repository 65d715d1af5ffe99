import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from stored_videos import feature_set

from store.errors import InvalidName


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
    with quarantine.file.open("a") as file:
        file.write('{"video": "half", "rea')
    with caplog.at_level(logging.WARNING):
        assert [entry.video for entry in quarantine.entries()] == ["whole"]
    assert "line 2" in caplog.text
    quarantine.add("next", "reason with\nline break", "kind")
    assert [entry.video for entry in quarantine.entries()] == ["whole", "next"]


def test_each_line_is_json_and_hostile_ids_are_refused(tmp_path: Path) -> None:
    quarantine = feature_set(tmp_path).quarantine
    quarantine.add('"quoted" ü', "reason", "kind")
    assert json.loads(quarantine.file.read_text())["video"] == '"quoted" ü'
    with pytest.raises(InvalidName):
        quarantine.add("a\nb", "reason", "kind")


def test_appends_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    features = feature_set(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: features.quarantine.add(f"v{n}", "reason", "kind"), range(60)))
    assert {entry.video for entry in features.quarantine.entries()} == {f"v{n}" for n in range(60)}
