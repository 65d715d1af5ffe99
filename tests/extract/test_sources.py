"""Videos without labels: in folders, lists, tars, on the web and in object storage."""

import functools
import json
import os
import tarfile
import threading
import uuid
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
from extraction import run_job
from fragile_encoder import DeviceEncoder, FragileEncoder
from s3_server import s3_server
from small_videos import encode
from typer.testing import CliRunner

from extract.__main__ import app
from extract.errors import NoVideos
from extract.job import sources
from extract.job.dataset import InvalidChoice
from extract.job.sources import InvalidSource, videos_at
from extract.location import RemoteVideo
from store.features import FeatureStore

# moto's server and botocore warn of what they do inside themselves.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

ROOT = Path(__file__).parents[2]
ENCODERS = {"mean": FragileEncoder(), "device": DeviceEncoder(batch=3)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two videos, one in a subfolder, beside files that are none."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "day1").mkdir()
    encode(folder / "a.mp4", frames=20, rate=20)
    encode(folder / "day1" / "b.mp4", frames=40, rate=20)
    (folder / "notes.md").write_text("no video")
    return folder


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory):
    """Name → features of the local files."""
    store = tmp_path_factory.mktemp("expected")
    run_job(store, ENCODERS, videos_at([str(folder)]))
    features = FeatureStore(store).find("set", "device")
    return {Path(video).name: features.read(video, "mean") for video in features.videos()}


def make_tar(path, folder, mode="w"):
    with tarfile.open(path, mode) as tar:
        for file in sorted(folder.rglob("*.*")):
            tar.add(file, file.relative_to(folder))
    return path


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder's files with ranges, as web servers do, and without a word."""

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        asked = self.headers.get("Range")
        if not asked or not path.is_file():
            super().do_GET()
            return
        first, last = asked.removeprefix("bytes=").split("-")
        content = path.read_bytes()
        piece = content[int(first) : int(last or len(content)) + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{int(first) + len(piece) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(piece)))
        self.end_headers()
        self.wfile.write(piece)

    def end_headers(self):
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def log_message(self, *_):
        """Nothing on the terminal."""


@pytest.fixture
def web(tmp_path):
    """A served folder, and its URL."""
    served = tmp_path / "served"
    served.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield served, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def s3():
    with s3_server() as address:
        yield address


def assert_extracts(store, places, names, expected, **changes):
    """Everything at the places gives the features of the local files, under these ids."""
    videos = videos_at(places)
    assert sorted(videos) == names
    _, summary = run_job(store, ENCODERS, videos, **changes)
    assert (summary.done, summary.newly_quarantined) == (len(names), 0)
    for encoder in ENCODERS:
        features = FeatureStore(store).find("set", encoder)
        for name in names:
            np.testing.assert_array_equal(features.read(name, "mean"), expected[Path(name).name])
    _, again = run_job(store, ENCODERS, videos_at(places))
    assert (again.done, again.already, again.outdated) == (0, len(names), {})


def test_a_folder_gives_its_videos_under_their_paths(folder):
    assert videos_at([str(folder)]) == {"a.mp4": folder / "a.mp4", "day1/b.mp4": folder / "day1" / "b.mp4"}


def test_a_list_names_paths_from_its_own_folder(tmp_path, folder, expected):
    (tmp_path / "clips").symlink_to(folder)
    absolute = folder / "day1" / "b.mp4"
    (tmp_path / "list.txt").write_text(f"# mine\nclips/a.mp4\n\n{absolute}\n")
    names = ["clips/a.mp4", str(absolute).lstrip("/")]
    assert_extracts(tmp_path / "store", [str(tmp_path / "list.txt")], names, expected)


def test_a_list_with_a_byte_order_mark_loses_no_video_and_one_that_is_absent_is_said(tmp_path):
    (tmp_path / "list.txt").write_text("clips/a.mp4\n", encoding="utf-8-sig")
    assert list(videos_at([str(tmp_path / "list.txt")])) == ["clips/a.mp4"]
    (tmp_path / "list.txt").write_text("absent.txt\n")
    with pytest.raises(InvalidSource, match=r"absent\.txt: cannot be read as a list: No such file"):
        videos_at([str(tmp_path / "list.txt")])


@pytest.mark.slow
def test_folders_of_one_list_that_hold_the_same_names_do_not_collide(tmp_path, folder, s3):
    assert s3
    bucket = f"s3://bucket/{uuid.uuid4().hex}"
    for day in ("day1", "day2"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "a.mp4").write_bytes((folder / "a.mp4").read_bytes())
        make_tar(tmp_path / day / "0001.TAR", folder)
        fsspec.filesystem("s3").put(str(tmp_path / day), f"{bucket}/{day}", recursive=True)
    (tmp_path / "list.txt").write_text(f"day1\nday2/\n{bucket}/day1\n{bucket}/day2\n")
    below = ("0001.TAR/a.mp4", "0001.TAR/day1/b.mp4", "a.mp4")
    roots = ("day1", "day2", *(f"{bucket.removeprefix('s3://')}/{day}" for day in ("day1", "day2")))
    videos = videos_at([str(tmp_path / "list.txt")])
    assert sorted(videos) == sorted(f"{root}/{name}" for root in roots for name in below)
    assert sorted(videos_at([str(tmp_path / "day1")])) == list(below)


def test_lists_that_lead_back_to_themselves_are_refused_and_those_that_are_named_twice_are_read(
    tmp_path, folder, web
):
    served, url = web
    (tmp_path / "one.txt").write_text(f"{folder}/a.mp4\n./two.txt\ntwo.txt\n")
    (tmp_path / "two.txt").write_text(f"{folder}/day1/b.mp4\n")
    assert len(videos_at([str(tmp_path / "one.txt")])) == 2
    (tmp_path / "two.txt").write_text(f"{tmp_path}/one.txt\n")
    with pytest.raises(InvalidSource, match=r"leads back to itself: .*one\.txt → .*two\.txt → .*one\.txt"):
        videos_at([str(tmp_path / "one.txt")])
    (served / "list.txt").write_text(f"{url}/list.txt\n")
    with pytest.raises(InvalidSource, match="leads back to itself"):
        videos_at([f"{url}/list.txt"])


def test_a_list_of_anything_is_a_list_of_missing_files_unless_it_is_no_text(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"x" * 5000 + b"\n\xff\x01\n")
    assert len(videos_at([str(tmp_path / "list.txt")])) == 2
    (tmp_path / "list.txt").write_bytes(b"\x00\x01\n")
    with pytest.raises(InvalidSource, match="expected a list, one place a line; found bytes of no text"):
        videos_at([str(tmp_path / "list.txt")])
    with pytest.raises(NoVideos, match="no such file or folder"):
        videos_at(["y" * 5000])


def test_a_missing_entry_of_a_list_costs_itself_only(tmp_path, folder, web):
    closed = "http://127.0.0.1:9"
    (tmp_path / "list.txt").write_text(f"{folder}/a.mp4\ngone.mp4\n{closed}/v.mp4\n{web[1]}/v.mp4\n")
    videos = videos_at([str(tmp_path / "list.txt")])
    _, summary = run_job(tmp_path / "store", ENCODERS, videos, workers=1)
    kinds = {video: refusal.kind for video, refusal in summary.quarantined.items()}
    assert summary.done == 1
    assert kinds == {
        "gone.mp4": "missing_file",
        "127.0.0.1:9/v.mp4": "unreachable",
        f"{web[1].removeprefix('http://')}/v.mp4": "missing_file",
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_members_of_a_tar_are_read_where_they_lie(tmp_path, folder, expected, workers):
    shards = tmp_path / "shards"
    shards.mkdir()
    make_tar(shards / "0001.tar", folder)
    names = ["0001.tar/a.mp4", "0001.tar/day1/b.mp4"]
    assert_extracts(tmp_path / "store", [str(shards)], names, expected, workers=workers)


def test_of_a_member_that_was_appended_twice_the_last_one_counts(tmp_path, folder, caplog):
    tar = make_tar(tmp_path / "0001.tar", folder)
    with tarfile.open(tar, "a") as members:
        members.add(folder / "day1" / "b.mp4", "./a.mp4")
    videos = videos_at([str(tar)])
    assert sorted(videos) == ["0001.tar/a.mp4", "0001.tar/day1/b.mp4"]
    assert len({video.size_bytes for video in videos.values()}) == 1
    assert "has a.mp4 more than once; the last counts" in caplog.text


def test_a_cut_tar_gives_what_is_before_its_end(tmp_path, folder, caplog):
    tar = make_tar(tmp_path / "cut.tar", folder)
    content = tar.read_bytes()
    (second,) = (v.offset for v in videos_at([str(tar)]).values() if v.member == "day1/b.mp4")
    tar.write_bytes(content[: second - 100])
    assert list(videos_at([str(tar)])) == ["cut.tar/a.mp4"]
    tar.write_bytes(content[: second + 100])
    _, summary = run_job(tmp_path / "store", ENCODERS, videos_at([str(tar)]))
    assert (summary.done, summary.newly_quarantined) == (1, 1)
    with pytest.raises(NoVideos):
        videos_at([str(make_tar(tmp_path / "packed.tar", folder, "w:gz"))])
    assert "uncompressed tar" in caplog.text


def test_videos_of_the_web_are_fetched_and_removed(tmp_path, folder, web, expected, monkeypatch):
    served, url = web
    (served / "clips").symlink_to(folder)
    (served / "list.txt").write_text(f"{url}/clips/a.mp4?signature=secret\n{url}/clips/day1/b.mp4\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    host = url.removeprefix("http://")
    names = [f"{host}/clips/a.mp4", f"{host}/clips/day1/b.mp4"]
    assert_extracts(tmp_path / "store", [f"{url}/list.txt"], names, expected, workers=2)
    assert list(scratch.iterdir()) == []


def test_a_tar_of_the_web_is_read_by_ranges(tmp_path, folder, web, expected):
    served, url = web
    make_tar(served / "0001.tar", folder)
    host = url.removeprefix("http://")
    names = [f"{host}/0001.tar/a.mp4", f"{host}/0001.tar/day1/b.mp4"]
    assert_extracts(tmp_path / "store", [f"{url}/0001.tar"], names, expected)


def test_a_replaced_video_of_the_web_is_noticed(tmp_path, folder, web):
    served, url = web
    target = served / "v.mp4"
    target.write_bytes((folder / "a.mp4").read_bytes())
    videos = videos_at([f"{url}/v.mp4"])
    run_job(tmp_path / "store", ENCODERS, videos)
    target.write_bytes((folder / "day1" / "b.mp4").read_bytes())
    assert set(run_job(tmp_path / "store", ENCODERS, videos)[1].outdated) == set(videos)
    _, summary = run_job(tmp_path / "store", ENCODERS, videos, refresh=True)
    assert (summary.done, summary.outdated) == (1, {})


@pytest.mark.slow
def test_folders_and_tars_of_object_storage_are_extracted(tmp_path, folder, s3, expected):
    assert s3
    bucket = f"bucket/{uuid.uuid4().hex}"
    files = fsspec.filesystem("s3")
    files.put(str(folder), bucket, recursive=True)
    files.put_file(str(make_tar(tmp_path / "0001.tar", folder)), f"{bucket}/shards/0001.tar")
    names = ["a.mp4", "day1/b.mp4", "shards/0001.tar/a.mp4", "shards/0001.tar/day1/b.mp4"]
    assert_extracts(tmp_path / "store", [f"s3://{bucket}"], names, expected, workers=1)


def test_a_place_without_videos_is_refused(tmp_path):
    with pytest.raises(NoVideos, match="no such file or folder"):
        videos_at([str(tmp_path / "nowhere")])
    with pytest.raises(NoVideos, match="no video is there"):
        videos_at([str(tmp_path)])
    with pytest.raises(InvalidSource, match="cannot be read"):
        videos_at(["http://127.0.0.1:9/list.txt"])
    with pytest.raises(InvalidSource, match="cannot be read"):
        videos_at(["nosuchprotocol://bucket/videos"])


def test_two_videos_of_one_name_are_refused(folder, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"another")
    with pytest.raises(InvalidSource, match=r"two videos have the name a\.mp4"):
        videos_at([str(folder), str(tmp_path)])


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:secret@host.org/v/a.mp4?token=1", "host.org/v/a.mp4"),
        ("https://host.org/watch?v=17", "host.org/watch?v=17"),
    ],
)
def test_ids_of_urls_hold_no_secrets_and_do_not_collide(url, name):
    assert videos_at([url]) == {name: RemoteVideo(url)}
    assert sources._name_of(url) == name


def run_command(tmp_path, *options):
    command = [*options, "--pipeline", "tiny", "--config", str(ROOT / "pipelines.toml")]
    return CliRunner().invoke(app, [*command, "--set", f"store.path={tmp_path / 'features'}"])


@pytest.mark.slow
def test_the_command_extracts_what_nobody_scored(tmp_path, folder):
    done = run_command(tmp_path, "--videos", str(folder), "--into", "mine", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["done"] == 2
    assert FeatureStore(tmp_path / "features").find("mine", "nss").videos() == ["a.mp4", "day1/b.mp4"]
    planned = run_command(tmp_path, "--videos", str(folder), "--into", "mine", "--dry-run")
    assert "0 of 2 videos to extract" in planned.stdout


@pytest.mark.parametrize("options", [(), ("--videos", "v"), ("--into", "n"), ("demo", "--videos", "v")])
def test_a_dataset_or_places_with_a_name_are_expected(tmp_path, options):
    done = run_command(tmp_path, *options, "--json")
    assert isinstance(done.exception, InvalidChoice)


@pytest.mark.slow
def test_the_command_ends_with_an_error_where_features_no_longer_hold(tmp_path, folder):
    own = tmp_path / "own"
    own.mkdir()
    video = own / os.fsdecode(b"v.mp4")
    video.write_bytes((folder / "a.mp4").read_bytes())
    options = ("--videos", str(own), "--into", "mine")
    assert run_command(tmp_path, *options).exit_code == 0
    video.write_bytes((folder / "day1" / "b.mp4").read_bytes())
    stopped = run_command(tmp_path, *options)
    assert stopped.exit_code == 1
    assert "v.mp4 (its file has been replaced); add --refresh" in str(stopped.exception)
    assert run_command(tmp_path, *options, "--refresh").exit_code == 0
