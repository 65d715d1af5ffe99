import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_features import bring, numbers, save
from typer.testing import CliRunner

from config.errors import Problem
from store.__main__ import app
from store.errors import ImportFailed
from store.exchange.importing import import_features, open_source
from store.exchange.plan import Pattern, Place
from store.exchange.source import Options
from store.features import FeatureStore


def chunks(folder: Path, video: str, count: int, **changed: Any) -> None:
    """A video in MinimalisticVQA's layout: batches of one chunk."""
    for chunk in range(count):
        for seed, (stream, width) in enumerate({"slow": 8, "fast": 4}.items()):
            array = numbers(1, width, 1, 1, 1, seed=2 * chunk + seed, **changed)
            save(folder / video / f"feature_{chunk}_{stream}_feature.npy", array)


def test_a_folder_of_chunks_is_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    chunks(tmp_path / "in", "ia-batch1/clip.mp4", 12)
    chunks(tmp_path / "in", "other", 2)
    done = bring(tmp_path / "store", tmp_path / "in")
    assert done.features.videos() == ["ia-batch1/clip", "other"]
    found = done.features.read("ia-batch1/clip", "slow")
    assert (found.shape, found.dtype) == ((12, 8, 1, 1, 1), np.float32)
    for chunk in range(12):
        assert np.array_equal(found[chunk], numbers(1, 8, 1, 1, 1, seed=2 * chunk)[0])
    assert done.features.length("other", "fast") == 2
    layout = done.features.specification["layout"]
    assert layout == {"pattern": "{video}/feature_{chunk}_{stream}_feature.npy", "join": "concatenate"}


def test_chunks_may_be_counted_from_one_and_a_file_is_one_item(tmp_path: Path) -> None:
    arrays = [save(tmp_path / "in" / "v" / f"{n}.npy", numbers(3, 5, seed=n)) for n in range(1, 12)]
    found = bring(tmp_path / "store", tmp_path / "in").features.read("v", "features")
    assert np.array_equal(found, np.stack(arrays))  # [11, 3, 5]


def test_a_pattern_explains_any_other_layout(tmp_path: Path) -> None:
    for video in ("a", "sub/b"):
        for number, stream in enumerate(("resnet", "flow")):
            save(tmp_path / "in" / f"{video}__{stream}.npy", numbers(6, 3, seed=number))
    save(tmp_path / "in" / "mean.npy", numbers(3))
    with pytest.raises(ImportFailed, match=r"no layout that is known:(?s:.*)a__flow\.npy.*--pattern"):
        bring(tmp_path / "store", tmp_path / "in")
    done = bring(tmp_path / "store", tmp_path / "in", pattern="{video}__{stream}.npy")
    assert done.features.videos() == ["a", "sub/b"]
    assert np.array_equal(done.features.read("sub/b", "flow"), numbers(6, 3, seed=1))
    assert list(done.passed_over) == ["mean.npy"]


def test_bad_videos_are_quarantined_with_their_reason_and_the_others_imported(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for video in ("good", "gap", "late", "uneven", "wide", "double", "cut", "text", "nan", "empty", "ints"):
        chunks(source, video, 4)
    chunks(source, "narrow", 4, dtype="float16")
    chunks(source, "twice", 2)
    chunks(source, "twice.mp4", 2)
    (source / "gap" / "feature_2_slow_feature.npy").unlink()
    (source / "late" / "feature_0_fast_feature.npy").unlink()
    (source / "uneven" / "feature_3_fast_feature.npy").unlink()
    save(source / "wide" / "feature_1_slow_feature.npy", numbers(1, 9, 1, 1, 1))
    save(source / "double" / "feature_01_slow_feature.npy", numbers(1, 8, 1, 1, 1))
    cut = source / "cut" / "feature_1_slow_feature.npy"
    cut.write_bytes(cut.read_bytes()[:-8])
    (source / "text" / "feature_1_slow_feature.npy").write_text("not numpy")
    save(source / "nan" / "feature_1_slow_feature.npy", np.full((1, 8, 1, 1, 1), np.nan, np.float32))
    save(source / "empty" / "feature_1_slow_feature.npy", numbers(0, 8, 1, 1, 1))
    save(source / "ints" / "feature_1_slow_feature.npy", np.ones((1, 8, 1, 1, 1), np.int64))
    done = bring(tmp_path / "store", source)
    assert done.features.videos() == ["good"]
    assert (done.videos, done.new) == (13, 1)
    expected = {
        "gap": "stream 'slow': of the chunks 0 to 3, 2 missing",
        "late": "stream 'fast': of the chunks 0 to 3, 0 missing",
        "uneven": "stream 'fast': of the chunks 0 to 3, 3 missing",
        "wide": "arrays of one stream differ",
        "double": "several arrays for one place: double/feature_01_slow",
        "cut": "cut/feature_1_slow_feature.npy cannot be read as .npy",
        "text": "text/feature_1_slow_feature.npy cannot be read as .npy",
        "nan": "8 of 32 values are NaN",
        "empty": "is empty: [0, 8, 1, 1, 1]",
        "ints": "found int64; expected float16",
        "narrow": "float16; 2 of 3 videos have",
        "twice": "several names mean this video: twice, twice.mp4",
    }
    entries = {entry.video: entry.reason for entry in done.features.quarantine.entries()}
    assert entries.keys() == expected.keys() == done.quarantined.keys()
    for video, reason in expected.items():
        assert reason in entries[video]


def test_the_first_video_does_not_decide_against_all_others(tmp_path: Path) -> None:
    chunks(tmp_path / "in", "0-odd", 2, dtype="float16")
    for video in ("a", "b"):
        chunks(tmp_path / "in", video, 2)
    assert bring(tmp_path / "store", tmp_path / "in").features.videos() == ["a", "b"]


def test_strict_stops_at_a_bad_video_and_commits_nothing(tmp_path: Path) -> None:
    chunks(tmp_path / "in", "a", 2)
    chunks(tmp_path / "in", "b", 3)
    save(tmp_path / "in" / "b" / "feature_1_slow_feature.npy", np.full((1, 8, 1, 1, 1), np.inf, np.float32))
    with pytest.raises(
        ImportFailed, match=r"1 videos cannot be used(?s:.*)b: .*8 of 24 values are NaN or inf"
    ):
        bring(tmp_path / "store", tmp_path / "in", strict=True)
    assert FeatureStore(tmp_path / "store").find("demo", "made").videos() == []


def test_a_source_without_any_good_video_is_an_error_and_makes_no_set(tmp_path: Path) -> None:
    chunks(tmp_path / "in", "a", 3)
    (tmp_path / "in" / "a" / "feature_1_slow_feature.npy").unlink()
    with pytest.raises(ImportFailed, match=r"none of the 1 videos can be used(?s:.*)1 missing"):
        bring(tmp_path / "store", tmp_path / "in")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("digest", ["content", "listing"])
def test_the_same_import_twice_changes_nothing_and_a_changed_source_has_another_key(
    tmp_path: Path, digest: str
) -> None:
    source = tmp_path / "in"
    for video in ("a", "b", "bad"):
        chunks(source, video, 2)
    (source / "bad" / "feature_0_slow_feature.npy").unlink()
    first = bring(tmp_path / "store", source, digest=digest)
    before = {path: path.stat().st_mtime_ns for path in first.features.path.rglob("*")}
    again = bring(tmp_path / "store", source, digest=digest)
    assert (again.new, again.features.path) == (0, first.features.path)
    assert {path: path.stat().st_mtime_ns for path in first.features.path.rglob("*")} == before
    # The same shape, dtype and size: only the numbers differ.
    save(source / "a" / "feature_1_slow_feature.npy", numbers(1, 8, 1, 1, 1, seed=99))
    changed = bring(tmp_path / "store", source, digest=digest)
    assert changed.features.key != first.features.key and changed.new == 2
    assert np.array_equal(changed.features.read("a", "slow")[1], numbers(1, 8, 1, 1, 1, seed=99)[0])


def test_a_file_that_changes_during_the_import_costs_its_video(tmp_path: Path) -> None:
    for video in ("a", "b"):
        chunks(tmp_path / "in", video, 2)
    with open_source(tmp_path / "in", Options()) as source:
        save(tmp_path / "in" / "a" / "feature_1_slow_feature.npy", numbers(1, 9, 1, 1, 1))
        done = import_features(FeatureStore(tmp_path / "store"), "demo", "made", source)
    assert done.features.videos() == ["b"]
    assert "was changed during the import" in done.quarantined["a"].reason


def test_a_copy_elsewhere_has_the_same_key(tmp_path: Path) -> None:
    keys = set()
    for place in ("one", "two"):
        chunks(tmp_path / place, "a", 2)
        keys.add(bring(tmp_path / "store", tmp_path / place).features.key)
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("text", "name", "place"),
    [
        ("{video}", "a/b", Place("a/b", None, None)),
        ("{video}/{stream}", "a/b/slow", Place("a/b", "slow", None)),
        ("{video}{chunk}.npy", "v12.npy", Place("v", None, 12)),
        ("{video}_{stream}.npy", "a_b_slow.npy", Place("a_b", "slow", None)),
        ("{stream}/{video}_{chunk}", "rgb/dir/v_007", Place("dir/v", "rgb", 7)),
        ("{video}.npy", "a.txt", None),
        ("v.{video}.npy", "vx1.npy", None),
    ],
)
def test_patterns_read_names(text: str, name: str, place: Place | None) -> None:
    assert Pattern(text).place(name) == place


@pytest.mark.parametrize("text", ["{stream}", "{video}/{video}", "{video}/{frame}", "video"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ImportFailed, match=r"expected \{video\}"):
        Pattern(text)


def test_sources_and_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"1")
    (tmp_path / "folder").mkdir()
    save(tmp_path / "m.npy", numbers(2, 2))
    for name, options, message in [
        ("x.bin", {}, "choose one with --format"),
        ("none.npy", {}, "no such file or folder"),
        ("folder", {}, "holds no arrays of numbers"),
        ("folder", {"key": "x"}, "--key has no meaning for a folder of .npy files; it takes --pattern"),
        ("folder", {"format": "mat", "key": "x", "ids": "y"}, "folder is a folder: --format mat is not for"),
        ("m.npy", {"format": "npy-folder"}, "m.npy is a file: --format npy-folder is not for"),
        ("m.npy", {}, "needs --ids"),
        ("m.npy", {"ids": "x", "pattern": "{video}"}, "--pattern has no meaning"),
        ("m.npy", {"ids": "none.txt"}, "none.txt: no such file"),
    ]:
        with pytest.raises(ImportFailed, match=message):
            bring(tmp_path / "store", tmp_path / name, **options)


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, Problem):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_commands_tell_what_was_imported_quarantined_and_passed_over(tmp_path: Path) -> None:
    chunks(tmp_path / "in", "a", 2)
    chunks(tmp_path / "in", "gap", 3)
    (tmp_path / "in" / "gap" / "feature_1_fast_feature.npy").unlink()
    save(tmp_path / "in" / "mean.npy", numbers(3))
    command = ["import", tmp_path / "in", "--dataset", "demo", "--encoder", "slowfast"]
    command += ["--store", tmp_path / "store", "--join", "concatenate"]
    command += ["--pattern", "{video}/feature_{chunk}_{stream}_feature.npy"]
    output = _run(*command)
    for text in (
        "imported 1 video: demo/slowfast@",
        "1 video in quarantine",
        "gap: stream 'fast'",
        "mean.npy",
    ):
        assert text in output
    assert "already imported (1 video)" in _run(*command)
    printed = json.loads(_run(*command, "--json"))
    assert (printed["videos"], printed["new"], list(printed["quarantined"])) == (2, 0, ["gap"])
    with pytest.raises(ImportFailed, match="--strict was asked"):
        _run(*command, "--strict")
    (tmp_path / "some.txt").write_text("a\n")
    for format in ("npy", "hdf5", "safetensors"):
        out = tmp_path / f"out-{format}"
        arguments = ["export", "demo/slowfast", out, "--format", format, "--store", tmp_path / "store"]
        printed = json.loads(_run(*arguments, "--videos", tmp_path / "some.txt", "--json"))
        assert (printed["videos"], printed["format"]) == (1, format)
        again = ["import", out, "--dataset", "demo", "--encoder", format, "--store", tmp_path / "store"]
        assert "imported 1 video" in _run(*again)
