import json
import re
import time
from pathlib import Path

import pytest
from in_process import fork_command
from small_videos import cut_in_half, encode
from typer.testing import CliRunner

from extract.__main__ import app
from extract.errors import NoVideos
from extract.executors.base import InvalidShare
from extract.executors.devices import NoSuchDevice
from extract.job.dataset import InvalidChoice, chosen_videos
from extract.job.job import NothingExtracted
from extract.job.summary import ExtractionSummary, progress_bar
from extract.tasks import Refused, VideoTask
from store.care.verify import verify
from store.features import FeatureStore

ROOT = Path(__file__).parents[2]
TINY = ("--pipeline", "tiny")
TINY_CLIP = "{ hidden_size = 16, intermediate_size = 32, num_hidden_layers = 2, num_attention_heads = 2 }"


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Video id → file: three videos of different length, a truncated and an empty one."""
    folder = tmp_path_factory.mktemp("videos")
    files = {f"v{n}": encode(folder / f"v{n}.mp4", frames=20 * n, rate=20) for n in (1, 2, 3)}
    whole = encode(folder / "whole.mkv", frames=60, rate=20)
    files["half"] = cut_in_half(whole, folder / "half.mkv")
    files["empty"] = folder / "empty.mp4"
    files["empty"].touch()
    whole.unlink()
    return files


@pytest.fixture
def command(tmp_path, videos):
    """Options of a command on a dataset of the videos, one more label and one more file."""
    rows = ["video,mos,content", *(f"{video}.mp4,50,c" for video in videos), "withdrawn.mp4,50,c"]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    folder = tmp_path / "videos"
    folder.mkdir()
    for path in videos.values():
        (folder / path.name).symlink_to(path)
    (folder / "unlabelled.mp4").symlink_to(videos["v1"])
    values = {
        "datasets.demo.videos": str(folder),
        "datasets.demo.labels": str(tmp_path / "labels.csv"),
        "store.path": str(tmp_path / "features"),
        "encoders.clip-vit-l14.weights": "random:0",
        "encoders.slowfast-r50.weights": "random:0",
        "encoders.clip-vit-l14.architecture": TINY_CLIP,
        "encoders.slowfast-r50.architecture": "{ model_depth = 18, stem_dim_outs = [16, 2] }",
        "encoders.slowfast-r50.grid": "[2, 2, 2]",
        "encoders.slowfast-r50.input_size": "64",
    }
    options = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    return ["demo", "--pipeline", "lmm-vqa", "--config", str(ROOT / "pipelines.toml"), *options]


def run(command, *options):
    done = CliRunner().invoke(app, [*command, *options])
    assert done.exit_code == 0, done.output
    return done


def test_the_command_reports_everything_and_does_nothing_twice(command, tmp_path):
    summary = json.loads(run(command, "--batch", "2", "--json").stdout)
    assert (summary["done"], summary["already"], summary["workers"]) == (3, 0, 1)
    assert summary["missing"] == ["withdrawn"]
    assert [Path(path).name for path in summary["unlabelled"]] == ["unlabelled.mp4"]
    assert {v: r["kind"] for v, r in summary["quarantined"].items()} == {
        "half": "truncated",
        "empty": "empty_file",
    }
    assert {"decode", "resize", "encode", "write"} <= summary["phase_seconds"].keys()
    assert 0 < summary["device_busy_share"] <= 1
    slow = FeatureStore(tmp_path / "features").find("demo", "slowfast-r50")
    assert slow.read("v3", "slow").shape == (3, 2, 2, 2, 512)
    again = run(command)
    assert "nothing to extract: the features of 3 videos are reused; 2 in quarantine" in again.stdout
    assert "5 of 6 labelled videos found" in again.stdout
    assert slow.key in again.stdout


def test_the_largest_gap_between_frames_is_an_option(command):
    tiny = [*command, *TINY, "--workers", "0", "--only", "v2"]
    refused = CliRunner().invoke(app, [*tiny, "--largest-gap", "0.01", "--json"])
    quarantined = json.loads(refused.stdout)["quarantined"]
    assert {v: r["kind"] for v, r in quarantined.items()} == {"v2": "implausible_timing"}
    assert json.loads(run(tiny, "--retry-quarantined", "--json").stdout)["done"] == 1


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_largest_gap_that_no_video_keeps_is_refused(command, seconds):
    refused = CliRunner().invoke(app, [*command, *TINY, "--largest-gap", seconds])
    assert isinstance(refused.exception, InvalidChoice)
    assert f"--largest-gap {seconds}: expected more than 0 seconds" in str(refused.exception)


def test_a_job_that_leaves_its_videos_without_any_features_fails_each_time(command):
    bad = [*command, *TINY, "--workers", "0", "--only", "half", "--only", "empty"]
    for _ in range(2):
        failed = CliRunner().invoke(app, bad)
        assert isinstance(failed.exception, NothingExtracted)
        assert "2 in quarantine" in failed.stdout
    run([*command, *TINY, "--workers", "0", "--only", "half", "--only", "v1"])
    run([*command, *TINY, "--shard", "9/10"])


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.slow
def test_a_dry_run_tells_what_there_is_to_do_and_stores_nothing(command, tmp_path, videos):
    command = [*command, *TINY]
    before = files_below(tmp_path)
    plan = json.loads(run(command, "--dry-run", "--json").stdout)
    assert files_below(tmp_path) == before
    assert (plan["videos"], plan["to_do"]) == (5, 5)
    assert plan["source_bytes"] == sum(path.stat().st_size for path in videos.values())
    assert plan["speed"] > 0
    assert plan["seconds"] == pytest.approx(plan["video_seconds"] / plan["speed"])
    run(command, "--only", "v2")
    after = run(command, "--dry-run").stdout
    assert "nss: 4 to do, 1 done, 0 in quarantine" in after
    assert "of video a second" in after


@pytest.mark.slow
def test_only_what_was_chosen_is_extracted(command, tmp_path):
    command = [*command, *TINY]
    done = json.loads(run(command, "--only", "v1", "--only", "v3", "--json").stdout)
    assert (done["done"], done["newly_quarantined"]) == (2, 0)
    assert FeatureStore(tmp_path / "features").find("demo", "nss").videos() == ["v1", "v3"]
    assert json.loads(run(command, "--limit", "2", "--json").stdout)["already"] == 1


@pytest.mark.slow
def test_the_command_takes_its_shard_only(command):
    part = json.loads(run(command, *TINY, "--shard", "0/2", "--json").stdout)
    assert (part["done"], part["newly_quarantined"]) == (2, 1)


def test_commands_of_one_name_share_the_videos(command, tmp_path):
    files = [tmp_path / f"{number}.json" for number in range(2)]
    options = (*command, *TINY, "--share", "array-17", "--json")
    processes = [fork_command(file, file.with_suffix(".err"), app, *options) for file in files]
    for process in processes:
        process.join()
    summaries = [json.loads(file.read_text()) for file in files]
    assert sum(summary["done"] for summary in summaries) == 3
    assert sum(summary["newly_quarantined"] for summary in summaries) == 2
    assert FeatureStore(tmp_path / "features").find("demo", "nss").videos() == ["v1", "v2", "v3"]
    assert not list((tmp_path / "features").glob(".*"))


@pytest.mark.parametrize("options", [("--shard", "0/2"), ("--executor", "ray"), ("--device", "cpu,cpu")])
def test_what_shares_by_itself_takes_no_name(command, options):
    done = CliRunner().invoke(app, [*command, *TINY, "--share", "array-17", *options])
    assert isinstance(done.exception, InvalidShare)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_shards_do_not_depend_on_the_order_of_the_videos(count):
    videos = {f"v{n}": Path(f"{n}.mp4") for n in range(13)}
    shards = [chosen_videos(videos, shard=f"{n}/{count}") for n in range(count)]
    assert sorted(video for shard in shards for video in shard) == sorted(videos)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1
    turned = dict(reversed(videos.items()))
    assert shards == [chosen_videos(turned, shard=f"{n}/{count}") for n in range(count)]


@pytest.mark.parametrize("shard", ["4/4", "1", "-1/4", "a/b", "0/0", "1/2/3", ""])
def test_an_impossible_shard_is_refused(shard):
    with pytest.raises(InvalidChoice, match=r"expected I/N with 0 <= I < N"):
        chosen_videos({"v": Path("v.mp4")}, shard=shard)


def test_an_unknown_id_is_refused_with_the_nearest_ones():
    videos = {f"clips/v{n}": Path("v.mp4") for n in range(9)}
    with pytest.raises(InvalidChoice, match=r"--only clips/v77: none of the 9 videos.*did you mean clips/v7"):
        chosen_videos(videos, only=["clips/v77"])


def test_an_absent_device_is_refused(command):
    done = CliRunner().invoke(app, [*command, "--device", "cuda:99"])
    assert isinstance(done.exception, NoSuchDevice)
    assert "there is no 'cuda:99' here" in str(done.exception)


def test_absent_videos_come_with_directions(command, tmp_path):
    absent = tmp_path / "none"
    done = CliRunner().invoke(app, [*command, "--set", f"datasets.demo.videos={absent}"])
    assert isinstance(done.exception, NoVideos)
    for direction in (
        "the videos of demo are missing",
        "get them from",
        f"put them in {absent}",
        "make demo",
    ):
        assert direction in str(done.exception)


def test_the_bar_counts_videos_and_names_everything_else():
    summary = ExtractionSummary()
    with progress_bar(4) as bar:
        bar.update()
        summary.already += 1
        summary.add(Refused(VideoTask("v", Path("v.mp4"), ("e",)), "empty_file", "empty"))
        bar.set_postfix_str(summary.progress(4, seconds=0.5), refresh=False)
        bar.update()
        text = str(bar)
    assert text.startswith("extract: 50% 2/4 [")
    assert "1/3 videos, 2/s, 1 failed, 0 B written" in text


def last_line(file):
    """Of a progress bar, as far as it is written."""
    return file.read_text(errors="replace").rpartition("\r")[2] if file.exists() else ""


def test_a_terminated_command_keeps_what_was_finished(command, tmp_path, videos):
    folder = tmp_path / "videos"
    many = [f"many/v{n:04}" for n in range(2000)]
    (folder / "many").mkdir()
    for video in many:
        (folder / f"{video}.mp4").symlink_to(videos["v1"])
    rows = "".join(f"{video}.mp4,50,c\n" for video in many)
    (tmp_path / "labels.csv").write_text(f"video,mos,content\n{rows}")
    said = tmp_path / "said"
    options = (*command, *TINY, "--commit-seconds", "1000")
    process = fork_command(tmp_path / "out", said, app, *options)
    # The bar has counted some of the videos.
    while process.is_alive() and not re.search(r" [1-9]\d*/2000 videos, ", last_line(said)):
        time.sleep(0.02)
    process.terminate()
    process.join(1200)
    assert process.exitcode == 143
    assert "Traceback" not in said.read_text()
    features = FeatureStore(tmp_path / "features").find("demo", "nss")
    assert 0 < len(features) < 2000
    assert verify(features) == []
    assert features.clean() == []
