import json
import subprocess
import sys
from pathlib import Path

import pytest
from stored_videos import assert_holds, feature_set, features_of, write
from typer.testing import CliRunner

from config.errors import Problem
from store.__main__ import app
from store.care.verify import verify
from store.features import FeatureStore


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "features"
    features = feature_set(folder)
    write(features, ["dir/one", "two", "three"])
    features.quarantine.add("four", "zero bytes", "empty_file")
    return folder


def _run(*arguments: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, Problem):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.output


def test_ls_lists_the_sets(store: Path) -> None:
    assert "demo/random@" in _run("ls", "--store", store)
    (listed,) = json.loads(_run("ls", "--store", store, "--json"))["feature_sets"]
    assert (listed["videos"], listed["quarantined"], listed["parts"]) == (3, 1, 1)
    assert listed["bytes"] == feature_set(store).size_bytes


def test_ls_of_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    assert "python -m extract" in _run("ls", "--store", tmp_path / "none")


def test_ls_shows_the_others_where_one_set_is_damaged(store: Path) -> None:
    broken = store / "demo" / "other@000000000000"
    broken.mkdir()
    (broken / "feature.json").write_text("{")
    output = _run("ls", "--store", store, status=1)
    assert "demo/random@" in output and "other@000000000000" in output


def test_show_tells_the_specification_the_quarantine_and_what_labels_lack(
    store: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("video,mos\none.mp4,3\ntwo.mp4,4\nnine.mp4,2\n")
    output = _run("show", "demo/random", "--store", store, "--labels", labels)
    for expected in ('"seed": 0', "[3, 5]", "empty_file", "zero bytes", "2 of 3 labelled", "nine"):
        assert expected in output
    shown = json.loads(_run("show", "demo/random", "--store", store, "--labels", labels, "--json"))
    assert shown["labels"]["missing"] == ["nine"]
    assert shown["specification"] == {"kind": "test", "seed": 0}
    assert shown["subset_hash"] == feature_set(store).subset_hash()
    assert shown["quarantine"][0]["video"] == "four"
    assert shown["content_hash"] == feature_set(store).content_hash() and shown["content_hash"] in output
    assert shown["provenance"] == []


def test_show_says_what_parts_were_made_with_where_they_differ(store: Path) -> None:
    for device in ("cpu", "cuda"):
        with feature_set(store).writer(provenance={"torch": "2.13", "device": device}) as writer:
            writer.add(device, features_of(device))
    output = _run("show", "demo/random", "--store", store)
    assert "made with torch 2.13, device cpu\n" in output or "made with device cpu, torch 2.13\n" in output
    assert output.count("made with") == 2


def test_show_of_what_is_not_there_names_what_is(store: Path) -> None:
    with pytest.raises(Problem, match=r"no features demo/clip; it has:\n  demo/random@"):
        _run("show", "demo/clip", "--store", store)
    with pytest.raises(Problem, match="expected DATASET/ENCODER"):
        _run("show", "demo", "--store", store)


def test_verify_exits_with_1_and_names_the_damage(store: Path) -> None:
    assert "3 videos of 1 feature set checked, all whole" in _run("verify", "--store", store)
    features = feature_set(store)
    next(features.path.glob("parts-*/part-*/temporal/c.*")).unlink()
    output = _run("verify", "demo/random", "--store", store, status=1)
    assert "dir/one · temporal" in output and "3 damages" in output
    damages = json.loads(_run("verify", "--store", store, "--json", status=1))["damages"]
    assert {damage["video"] for damage in damages} == set(features.videos())
    sampled = json.loads(_run("verify", "--store", store, "--sample", 1, "--json", status=1))
    assert sampled["videos_checked"] == {features.name: 1}


def test_import_then_export(store: Path, shared_data: Path, tmp_path: Path) -> None:
    matrix = shared_data / "features" / "KONVID_1K_VIDEVAL_feats.mat"
    ids = shared_data / "labels" / "KoNViD-1k" / "KONVID_1K_metadata.csv"
    arguments = ["import", matrix, "--key", "feats_mat", "--ids", f"{ids}:flickr_id"]
    arguments += ["--dataset", "KoNViD-1k", "--encoder", "videval", "--store", store]
    output = _run(*arguments)
    assert "imported 1,200 videos" in output and "12465909365" in output
    assert "already imported" in _run(*arguments)
    assert json.loads(_run(*arguments, "--json"))["new"] == 0
    assert "exported 1,200 videos" in _run("export", "KoNViD-1k/videval", tmp_path / "out", "--store", store)
    assert (tmp_path / "out" / "12465909365.features.npy").is_file()


def test_the_command_prints_a_problem_without_a_traceback(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "store", "show", "demo/random", "--store", str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path} has no features demo/random; it is empty\n"


def _spoil(store: Path, video: str) -> None:
    """Change the last byte of a video's spatial stream, which is the last one of its file."""
    features = feature_set(store)
    (file,) = (features.path / features.part_of(video)).glob("spatial/c.*")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def test_verify_then_repair_then_verify(store: Path) -> None:
    _spoil(store, "three")
    found = _run("verify", "--store", store, status=1)
    assert "· three · spatial" in found and "python -m store repair" in found
    assert "would be dropped: three" in _run("repair", "--store", store, "--dry-run")
    assert len(feature_set(store)) == 3
    assert "1 damaged video dropped" in _run("repair", "demo/random", "--store", store)
    assert "2 videos of 1 feature set checked, all whole" in _run("verify", "--store", store)
    (done,) = json.loads(_run("repair", "--store", store, "--json"))["feature_sets"].values()
    assert done == {"dropped": [], "set_aside": [], "rewritten": [], "left": []}


def test_gc_lists_what_it_would_remove_and_then_removes_it(store: Path) -> None:
    old = feature_set(store).part_of("two")
    write(feature_set(store), ["dir/one", "two", "three", "four"])
    listed = _run("gc", "--store", store, "--grace-hours", 0, "--dry-run")
    assert f"superseded, would be removed: {old}" in listed
    assert "quarantine entry would be removed: four" in listed
    assert "stays until" in _run("gc", "--store", store) and len(feature_set(store).index.markers) == 2
    (done,) = json.loads(_run("gc", "--store", store, "--grace-hours", 0, "--json"))["feature_sets"].values()
    assert list(done["superseded"]) == [old] and done["superseded"][old] > 0
    assert len(feature_set(store).index.markers) == 1 and len(feature_set(store)) == 4


def test_compact_merges_and_removes_what_it_merged(store: Path) -> None:
    write(feature_set(store), ["five"])
    assert "2 parts would be merged into 1 new part: 4 videos" in _run(
        "compact", "--store", store, "--dry-run"
    )
    assert "2 parts merged into 1 new part" in _run("compact", "--store", store, "--grace-hours", 0)
    features = feature_set(store)
    assert len(features.index.markers) == 1 and verify(features) == []
    assert_holds(features, ["dir/one", "two", "three", "five"])


def test_diff_tells_what_differs_in_words(store: Path) -> None:
    other = FeatureStore(store).feature_set("demo", "random", {"kind": "test", "seed": 1})
    write(other, ["two", "six"])
    one = feature_set(store)
    output = _run("diff", f"demo/random@{one.key[:6]}", f"demo/random@{other.key[:6]}", "--store", store)
    for expected in ("  seed: 0 → 1", "1 video in both", "only here: six", one.subset_hash()):
        assert expected in output
    found = json.loads(_run("diff", one.name, other.name, "--store", store, "--json"))
    assert (found["only_a"], found["only_b"]) == (["dir/one", "three"], ["six"])
    assert "the same specification" in _run("diff", one.name, one.name, "--store", store)


def test_one_broken_set_does_not_keep_the_others_from_being_maintained(store: Path) -> None:
    broken = store / "demo" / "other@000000000000"
    broken.mkdir()
    (broken / "feature.json").write_text("{")
    for command in ("verify", "repair", "gc", "compact"):
        output = _run(command, "--store", store, status=1)
        assert "other@000000000000" in output
        assert ("1 feature set checked" if command == "verify" else "demo/random@") in output
