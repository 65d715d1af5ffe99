import json
import subprocess
import sys
from pathlib import Path

import pytest
from stored_videos import feature_set, write
from typer.testing import CliRunner

from config.errors import Problem
from store.__main__ import app


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


def test_show_of_what_is_not_there_names_what_is(store: Path) -> None:
    with pytest.raises(Problem, match=r"no features demo/clip; it has:\n  demo/random@"):
        _run("show", "demo/clip", "--store", store)
    with pytest.raises(Problem, match="expected DATASET/ENCODER"):
        _run("show", "demo", "--store", store)


def test_verify_exits_with_1_and_names_the_damage(store: Path) -> None:
    assert "3 videos of 1 feature set checked, all whole" in _run("verify", "--store", store)
    features = feature_set(store)
    next(features.path.glob("part-*/temporal/c.*")).unlink()
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
