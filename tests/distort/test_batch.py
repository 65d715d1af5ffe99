"""All copies of a folder: the same for any number of workers, whole after a kill, with truthful labels."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from in_process import run_module
from numpy.typing import NDArray

from config.load import load_settings
from distort.batch import NothingMade, make_copies
from distort.folder import FolderTaken
from distort.footage import read_footage
from distort.kinds import KINDS
from distort.plan import SPLITS, InvalidRecipe, Recipe
from distort.sources import NoSources
from extract.job.dataset import labelled_videos
from store.labels.conversations import read_conversations
from store.labels.shown import conversations_of, media_ids

ROOT = Path(__file__).parents[2]

CHOSEN = ("noise", "h264", "rebuffering")
RECIPE = Recipe(
    seed=1,
    seconds=2.2,
    max_lines=64,
    kinds=tuple(KINDS[key] for key in sorted(CHOSEN, key=list(KINDS).index)),
    strengths=(1, 5),
    mixed=1,
    stretches=2,
    validation_share=0,
    test_share=0.34,
)

FEW = (
    *("--kind", "noise", "--strength", "4", "--strength", "5", "--mixed", "0", "--stretches", "0"),
    *("--seconds", "1.1", "--max-lines", "128", "--workers", "1"),
)
"""Options of the command: three copies of each source."""


@pytest.fixture(scope="module")
def sources(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three real videos, one in a subfolder, and what is none."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("pristine", "distorted"):
        shutil.copy(shared_data / "videos" / f"carphone_{name}.mp4", folder / f"{name}.mp4")
    (folder / "more").mkdir()
    shutil.copy(shared_data / "videos" / "demo_aigc.mp4", folder / "more" / "clip.mp4")
    (folder / "broken.mp4").write_bytes(b"\0" * 999)
    shutil.copy(shared_data / "videos" / "carphone_pristine.mp4", folder / "pristine.mkv")
    return folder


@pytest.fixture(scope="module")
def made(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "copies"
    make_copies([sources], folder, RECIPE, quiet=True)
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def records_of(folder: Path) -> list[dict[str, object]]:
    files = sorted(folder.glob("conversations-*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def distort(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*arguments: str) -> Said:
        status = run_module(monkeypatch, "distort", *arguments)
        return Said(status, *capsys.readouterr())

    return command


def distort_with_little_space(*arguments: str) -> Said:
    """The command, in a process of its own, which may write files of 8 KiB at most."""
    command = ["prlimit", "--fsize=8192", sys.executable, "-m", "distort", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return Said(done.returncode, done.stdout, done.stderr)


def everything(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "dataset.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_every_labelled_video_is_there_with_the_stated_seconds(made: Path) -> None:
    rows = rows_of(made)
    files = {str(p.relative_to(made / "videos")) for p in (made / "videos").rglob("*") if p.is_file()}
    assert {row["video"] for row in rows} == files and len(rows) == 3 * (1 + 6 + 1 + 2)
    for row in rows[:10]:
        footage = read_footage(made / "videos" / row["video"], 60.0, 64)
        assert len(footage.frames) == round(float(row["seconds"]) * float(row["fps"]))
        assert (footage.frames[0].width, footage.frames[0].height) == (int(row["width"]), int(row["height"]))


def test_labels_say_kind_strength_and_stretch(made: Path) -> None:
    rows = {row["video"]: row for row in rows_of(made)}
    assert (
        rows["pristine/pristine.mp4"]["kind"] == "none" and rows["pristine/pristine.mp4"]["strength"] == "0"
    )
    single = rows["more/clip/noise-1.mp4"]
    assert (single["kind"], single["strength"], single["start"]) == ("noise", "1", "0.0")
    assert single["end"] == single["seconds"] and not single["still"]
    assert rows["pristine/rebuffering-5.mp4"]["still"]
    mixtures = [row for row in rows.values() if "+" in row["kind"]]
    assert len(mixtures) == 3 and all(row["strength"].count("+") == 1 for row in mixtures)
    stretches = [row for row in rows.values() if "-from-" in row["video"]]
    assert len(stretches) == 6
    assert all(0 < float(row["start"]) < float(row["end"]) < float(row["seconds"]) for row in stretches)


def test_the_stated_stretch_differs_from_the_pristine_copy_more_than_the_rest(made: Path) -> None:
    found = [row for row in rows_of(made) if re.fullmatch(r".*/(noise|h264)-\d-from-.*", row["video"])]
    assert found
    for row in found:
        errors = (lumas(made, row["video"]) - lumas(made, f"{row['source']}/pristine.mp4")) ** 2
        times = np.arange(len(errors)) / float(row["fps"])
        inside = (times >= float(row["start"])) & (times < float(row["end"]))
        assert errors[inside].mean() > 10 * errors[~inside].mean()


def lumas(folder: Path, video: str) -> NDArray[np.float64]:
    """[T, H, W]"""
    frames = read_footage(folder / "videos" / video, 9.0, 64).frames
    return np.stack([f.to_ndarray(format="yuv420p")[: f.height] for f in frames]).astype(np.float64)


def test_copies_of_a_source_are_in_one_split(made: Path) -> None:
    pairs = {(row["source"], row["split"]) for row in rows_of(made)}
    assert len(pairs) == 3 and sorted(split for _, split in pairs) == ["test", "train", "train"]


def test_unusable_sources_are_reported(made: Path) -> None:
    with (made / "sources.csv").open(newline="") as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert rows["broken.mp4"]["source"] == "broken" and "no video format" in rows["broken.mp4"]["problem"]
    assert not rows["pristine.mp4"]["source"] and "has the same name" in rows["pristine.mp4"]["problem"]
    assert rows["clip.mp4"]["source"] == "more/clip"
    assert rows["clip.mp4"]["split"] and not rows["clip.mp4"]["problem"]


def test_every_source_whose_name_is_taken_is_reported(
    distort: Command, sources: Path, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("one/a.mkv", "one/a.mp4", "two/a.mp4")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        shutil.copy(sources / "pristine.mp4", file)
    places = ["--into", str(tmp_path / "copies"), *(str(file.parent) for file in files[1:])]
    done = distort(*places, *FEW)
    assert done.status == 0
    with (tmp_path / "copies" / "sources.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert list(rows) == [str(file) for file in files]
    assert rows[str(files[0])]["source"] == "a" and not rows[str(files[0])]["problem"]
    for file in files[1:]:
        problem = f"{file}: {files[0]} has the same name: rename one of them"
        assert rows[str(file)]["problem"] == problem
        assert f"  left out: {problem}\n" in done.out


@pytest.mark.slow
def test_any_number_of_workers_makes_the_same(sources: Path, made: Path, tmp_path: Path) -> None:
    summary = make_copies([sources], tmp_path / "copies", RECIPE, workers=2, quiet=True)
    assert everything(tmp_path / "copies") == everything(made)
    assert summary.made == summary.copies == 30
    assert set(summary.problems) == {str(sources / name) for name in ("broken.mp4", "pristine.mp4")}


def test_what_is_there_is_kept_and_what_is_missing_made(sources: Path, made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    shutil.copytree(made, folder)
    missing, kept = folder / "videos/pristine/noise-1.mp4", folder / "videos/pristine/noise-5.mp4"
    missing.unlink()
    before = kept.stat().st_mtime_ns
    assert make_copies([sources], folder, RECIPE, quiet=True).made == 1
    assert kept.stat().st_mtime_ns == before
    assert everything(folder) == everything(made)


def test_a_killed_job_goes_on_where_it_was(sources: Path, made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    script = (
        "import sys; from pathlib import Path;"
        "from test_batch import RECIPE; from distort.batch import make_copies;"
        "make_copies([Path(sys.argv[1])], Path(sys.argv[2]), RECIPE, quiet=True)"
    )
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "distort")))
    job = subprocess.Popen(
        [sys.executable, "-c", script, str(sources), str(folder)],
        env={**os.environ, "PYTHONPATH": path},
    )
    while len(list(folder.rglob("*.mp4"))) < 5 and job.poll() is None:
        time.sleep(0.02)
    job.send_signal(signal.SIGKILL)
    job.wait()
    there = [path for path in folder.rglob("*.mp4") if not path.name.startswith(".")]
    assert 5 <= len(there) < 30 and not (folder / "labels.csv").exists()
    litter = folder / "videos" / "pristine" / f".left.mp4.tmp-{next_dead_owner(job.pid)}"
    litter.parent.mkdir(exist_ok=True)
    litter.write_bytes(b"")
    assert make_copies([sources], folder, RECIPE, quiet=True).made <= 30 - len(there)
    assert everything(folder) == everything(made)


def next_dead_owner(pid: int) -> str:
    """HOST-PID-START-UNIQUE as in a temporary name of a process that has ended."""
    from store.durable.owner import temporary_name

    host, _, start, unique = temporary_name("").removeprefix(".tmp-").split("-")
    return f"{host}-{pid}-{start}-{unique}"


def test_a_replaced_source_has_its_copies_made_anew(sources: Path, made: Path, tmp_path: Path) -> None:
    mine, folder = tmp_path / "sources", tmp_path / "copies"
    shutil.copytree(sources, mine)  # with the times of the files
    shutil.copytree(made, folder)
    shutil.copy(mine / "more" / "clip.mp4", mine / "pristine.mp4")
    (mine / "pristine.mkv").unlink()
    assert make_copies([mine], folder, RECIPE, quiet=True).made == 10
    one, other = (folder / "videos" / name / "noise-1.mp4" for name in ("pristine", "more/clip"))
    assert len(read_footage(one, 9.0, 64).frames) == len(read_footage(other, 9.0, 64).frames)


@pytest.mark.slow
def test_sources_may_be_added_and_taken_away(sources: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    pair = [sources / "pristine.mp4", sources / "distorted.mp4"]
    assert make_copies(pair[:1], folder, RECIPE, quiet=True).made == 10
    assert make_copies(pair, folder, RECIPE, quiet=True).made == 10
    assert make_copies(pair[1:], folder, RECIPE, quiet=True).copies == 10
    assert {row["source"] for row in rows_of(folder)} == {"distorted"}
    # Nothing is known of copies whose source was away.
    assert make_copies(pair, folder, RECIPE, quiet=True).made == 10


def test_other_settings_are_refused_until_restarted(sources: Path, made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    shutil.copytree(made, folder)
    other = Recipe(seconds=1.5, max_lines=64, kinds=(KINDS["dark"],), strengths=(5,), mixed=0, stretches=0)
    with pytest.raises(FolderTaken, match=r"seconds: 2\.2, now 1\.5"):
        make_copies([sources], folder, other, quiet=True)
    assert make_copies([sources], folder, other, restart=True, quiet=True).copies == 6
    assert {row["kind"] for row in rows_of(folder)} == {"none", "dark"}
    assert len(list((folder / "videos").rglob("*.mp4"))) == 6


def test_folders_of_others_are_left_alone(sources: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FolderTaken, match=r"thesis\.txt but no dataset\.json"):
        make_copies([sources], tmp_path, RECIPE, restart=True, quiet=True)
    with pytest.raises(FolderTaken, match="choose a folder outside"):
        make_copies([sources], sources, RECIPE, quiet=True)


@pytest.mark.parametrize(
    ("into", "said"),
    [
        ("taken", "taken is a file, expected a folder"),
        ("taken/below", "taken is a file"),
        ("/proc/x", "/proc/x cannot be written: No such file"),
    ],
)
def test_a_folder_that_cannot_be_made_is_refused(
    distort: Command, sources: Path, tmp_path: Path, into: str, said: str
) -> None:
    (tmp_path / "taken").touch()
    done = distort(str(sources / "more"), "--into", str(tmp_path / into), *FEW)
    assert done.status == 1 and done.err.startswith("error: ") and said in done.err
    assert "Traceback" not in done.err and (tmp_path / "taken").stat().st_size == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_the_disk_refuses_leaves_no_half_and_goes_on(
    distort: Command, sources: Path, tmp_path: Path, workers: str
) -> None:
    folder = tmp_path / "copies"
    arguments = (str(sources / "more"), "--into", str(folder), *FEW, "--workers", workers)
    refused = distort_with_little_space(*arguments)
    assert refused.status == 1 and "Traceback" not in refused.err
    assert re.search(r"error: .*\.mp4.* cannot be written: File too large; .* same command", refused.err)
    assert not [path for path in (folder / "videos").rglob("*") if path.is_file()]
    assert not (folder / "labels.csv").exists()
    done = distort(*arguments, "--json")
    assert done.status == 0 and json.loads(done.out)["made"] == 3


def test_nothing_to_make_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoSources, match="no such file or folder"):
        make_copies([tmp_path / "absent"], tmp_path / "copies", RECIPE, quiet=True)
    (tmp_path / "a.mp4").write_bytes(b"\0" * 999)
    with pytest.raises(NothingMade, match="no video format"):
        make_copies([tmp_path / "a.mp4"], tmp_path / "copies", RECIPE, quiet=True)
    with pytest.raises(InvalidRecipe, match="0 seconds"):
        Recipe(seconds=0)


def test_conversations_ask_what_the_labels_say(made: Path) -> None:
    rows = {row["video"]: row for row in rows_of(made)}
    strengths = ["barely visible", "slight", "moderate", "strong", "very strong"]
    asked, stalls = {"kind": 0, "strength": 0, "worse": 0, "when": 0}, 0
    for record in records_of(made):
        task = str(record["task_mark"])
        asked[task] += 1
        media = record["image"] if isinstance(record["image"], list) else [record["image"]]
        human, gpt = record["conversations"]  # type: ignore[misc]
        assert (human["from"], gpt["from"]) == ("human", "gpt")
        assert human["value"].count("<image>") == 2 * len(media) and "{" not in human["value"]
        found = [rows[name] for name in media]
        if task == "kind":
            names = [KINDS[kind].name for kind in found[0]["kind"].split("+") if kind != "none"]
            assert gpt["value"] == (" and ".join(names) or "none")
        elif task == "strength":
            assert gpt["value"] == strengths[int(found[0]["strength"]) - 1]
        elif task == "worse":
            assert found[0]["source"] == found[1]["source"] and found[0]["kind"] == found[1]["kind"]
            first_is_worse = int(found[0]["strength"]) > int(found[1]["strength"])
            assert gpt["value"] == ("the first" if first_is_worse else "the second")
        else:
            stands = "stand" in human["value"] or "stall" in human["value"]
            times = (
                found[0]["still"].split(" ")[0].split("-") if stands else [found[0]["start"], found[0]["end"]]
            )
            start, end = map(float, times)
            said = [float(number) for number in re.findall(r"[\d.]+", gpt["value"])]
            assert said == pytest.approx([start, end], abs=0.051)
            assert gpt["value"] == "from {:.1f} to {:.1f} seconds".format(*said)
            stalls += stands
            assert not stands or (end - start >= 0.3 and record["id"] == f"still {media[0]}")
    longest = [max(span_seconds(row["still"]), default=0) for row in rows.values() if "+" not in row["kind"]]
    assert stalls == sum(seconds >= 0.3 for seconds in longest) > 0
    assert asked == {"kind": 30, "strength": 24, "worse": 18, "when": 6 + stalls}
    assert len({str(record["id"]) for record in records_of(made)}) == sum(asked.values())


def span_seconds(still: str) -> list[float]:
    spans = [[float(number) for number in span.split("-")] for span in still.split()]
    return [end - start for start, end in spans]


def test_of_several_stalls_it_is_asked_for_the_first(tmp_path: Path, shared_data: Path) -> None:
    recipe = Recipe(
        seconds=8,
        max_lines=64,
        kinds=(KINDS["stutter"], KINDS["rebuffering"]),
        strengths=(5,),
        mixed=0,
        stretches=0,
        validation_share=0,
        test_share=0,
    )
    make_copies([shared_data / "videos" / "nasa_13013.mp4"], tmp_path / "copies", recipe, quiet=True)
    rows = {row["video"]: row for row in rows_of(tmp_path / "copies")}
    asked = [record for record in records_of(tmp_path / "copies") if record["task_mark"] == "when"]
    assert {str(record["image"]).split("/")[1] for record in asked} <= {"stutter-5.mp4", "rebuffering-5.mp4"}
    assert len(asked) >= 1
    for record in asked:
        spans = rows[str(record["image"])]["still"].split()
        human, gpt = record["conversations"]  # type: ignore[misc]
        assert len(spans) > 1 and "first" in human["value"]
        said = [float(number) for number in re.findall(r"[\d.]+", gpt["value"])]
        assert said == pytest.approx([float(number) for number in spans[0].split("-")], abs=0.051)


def test_training_can_use_every_conversation(made: Path) -> None:
    found = {split: read_conversations(made / f"conversations-{split}.jsonl") for split in SPLITS}
    assert all(not each.reported for each in found.values())
    assert {split for split in SPLITS if found[split].used} == {row["split"] for row in rows_of(made)}


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(0.1, 0.2), (0, 0.5), (0, 0)])
def test_of_few_sources_the_conversations_of_every_split_are_written(
    sources: Path, tmp_path: Path, shares: tuple[float, float]
) -> None:
    folder = tmp_path / "copies"
    recipe = replace(RECIPE, validation_share=shares[0], test_share=shares[1], mixed=0, stretches=0)
    pair = [sources / "pristine.mp4", sources / "distorted.mp4"]
    make_copies(pair, folder, recipe, quiet=True)
    entry = load_settings(ROOT / "pipelines.toml").datasets["distorted"]
    assert isinstance(entry.labels, dict)
    labels = {split: folder / path.name for split, path in entry.labels.items()}
    dataset = entry.model_copy(update={"videos": folder / "videos", "labels": labels})
    videos: dict[str, list[str]] = {split: [] for split in SPLITS}
    for row in rows_of(folder):
        videos[row["split"]].append(row["video"])
    shown = {split: media_ids([own]) for split, own in conversations_of(dataset).items()}
    assert {split: sorted(names) for split, names in shown.items()} == {
        split: sorted(names) for split, names in videos.items()
    }
    assert len(labelled_videos(dataset).found) == 14


def test_the_command_says_what_it_made(distort: Command, sources: Path, tmp_path: Path) -> None:
    done = distort(str(sources / "more"), "--into", str(tmp_path / "out"), *FEW, "--json")
    told = json.loads(done.out)
    assert told["copies"] == told["made"] == 3 and done.err == ""
    refused = distort(str(sources), "--kind", "drak")
    assert refused.status == 1 and "did you mean 'dark'" in refused.err


def test_the_help_shows_how_a_table_of_strengths_is_written(distort: Command) -> None:
    assert "[2, 4, 8, 16, 32]" in re.sub(r"[│\s]+", " ", distort("--help").out)
    refused = distort("clips", "--strengths", "3")
    assert refused.status == 2 and "No such option" in refused.err
