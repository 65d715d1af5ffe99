"""The store in object storage: in fsspec's memory, and on a server that speaks S3, where there is one."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from extraction import run_job
from fragile_encoder import FragileEncoder
from fsspec.implementations.memory import MemoryFileSystem
from s3_server import s3_server
from small_videos import encode
from stored_videos import SPECIFICATION, assert_holds, features_of, write
from typer.testing import CliRunner

from config.load import load_settings
from config.schema import BranchSettings, DatasetSettings
from extract.run.overflow_file import OverflowFile
from store.__main__ import app
from store.care.compact import compact
from store.care.garbage import collect
from store.care.repair import repair
from store.care.verify import verify
from store.errors import DamagedPart, FeaturesNotFound, OnlyInFolders, RemoteFailed, VideoNotStored
from store.exchange.exporting import export
from store.features import FeatureSet, FeatureStore
from store.remote.place import is_url, local_folder, scratch
from store.remote.storage import Remote
from train.data.reader import FeatureReader

VIDEOS = [f"batch/{number:03}.mp4" for number in range(8)]
# moto's server and botocore warn of what they do inside themselves.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning")


class FlakyFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """fsspec's memory, on a network that fails when `requests_left` have been answered."""

    protocol = "flaky"
    requests_left: int | None = None

    @classmethod
    def _request(cls) -> None:
        if cls.requests_left is not None:
            if cls.requests_left == 0:
                raise ConnectionResetError("the network has gone")
            cls.requests_left -= 1

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        self._request()
        super().pipe_file(path, value, **options)

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        self._request()
        super().put_file(lpath, rpath, **options)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        self._request()
        content: bytes = super().cat_file(path, start, end, **options)
        return content


fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)


@pytest.fixture
def _answering() -> Iterator[None]:
    yield
    FlakyFileSystem.requests_left = None


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a local server that speaks S3, with a bucket named `bucket`."""
    with s3_server() as address:
        yield address


@pytest.fixture(params=["memory", "s3"])
def url(request: pytest.FixtureRequest) -> str:
    """A place of its own for each test."""
    if request.param == "s3":
        request.getfixturevalue("s3")
    return f"{request.param}://bucket/{uuid.uuid4().hex}"


def features_at(url: str | Path, backend: str = "zarr") -> FeatureSet:
    return FeatureStore(url, backend).feature_set("demo", "random", SPECIFICATION)


def objects(url: str) -> dict[str, int]:
    return Remote(url).tree("")


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_features_read_back_bit_for_bit(url: str, backend: str) -> None:
    with features_at(url, backend).writer(part_bytes=1500, chunk_bytes=200) as writer:
        for video in VIDEOS:
            writer.add(video, features_of(video), {"fps": 25})
    features = FeatureStore(url).find("demo", "random")
    assert features.videos() == VIDEOS
    assert len(features.index.markers) > 2
    assert features.meta(VIDEOS[0]) == {"fps": 25}
    assert features.subset_hash() == features_at(url).subset_hash(VIDEOS)
    assert_holds(features, VIDEOS)
    assert verify(features) == []


def test_windows_are_read_into_a_given_array(url: str) -> None:
    items = np.arange(4000 * 600, dtype=np.float32).reshape(4000, 600)  # 9.6 MB: more than one request
    features = features_at(url)
    with features.writer(chunk_bytes=3_000_000) as writer:
        writer.add("long", {"x": items})
    batch = np.zeros((2, 4000, 600), np.float32)
    assert features.read("long", "x", out=batch[1]).base is batch
    assert np.array_equal(batch[1], items)
    assert np.array_equal(features.read("long", "x", 1240, 3999), items[1240:3999])
    assert features.read("long", "x", 5, 5).shape == (0, 600)


def test_a_set_is_read_after_pickling_and_in_a_forked_process(url: str) -> None:
    write(features_at(url), VIDEOS)
    features = features_at(url)
    assert_holds(pickle.loads(pickle.dumps(features)), VIDEOS)
    child = os.fork()
    if child == 0:
        try:
            assert_holds(features, VIDEOS)
        except BaseException:  # noqa: BLE001 - a forked child must never return into pytest
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert_holds(features, VIDEOS)


def test_other_writers_videos_appear_on_refresh_and_supersede(url: str) -> None:
    reader = features_at(url)
    assert len(reader) == 0
    write(features_at(url), VIDEOS[:4])
    write(features_at(url), VIDEOS[2:6], version=1)
    assert VIDEOS[0] not in reader
    reader.refresh()
    assert reader.videos() == VIDEOS[:6]
    assert_holds(reader, VIDEOS[:2])
    assert_holds(reader, VIDEOS[2:6], version=1)
    reader_remote = Remote(url)
    reader_remote.remove([f"{reader.name}/{reader.index.row(VIDEOS[5], '')[0].file}"])
    reader.refresh()
    assert reader.videos() == VIDEOS[:4]


def test_processes_write_one_set_at_once(s3: str, root: Path) -> None:
    url = f"s3://bucket/{uuid.uuid4().hex}"
    program = (
        "import sys; from stored_videos import feature_set, write\n"
        "write(feature_set(sys.argv[1]), [f'{sys.argv[2]}/{n}' for n in range(5)], part_bytes=1000)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])}
    assert environment["AWS_ENDPOINT_URL"] == s3
    writers = [
        subprocess.Popen([sys.executable, "-c", program, url, str(number)], env=environment)
        for number in range(2)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    features = features_at(url)
    assert features.videos() == sorted(f"{w}/{n}" for w in range(2) for n in range(5))
    assert_holds(features, features.videos())


def test_the_quarantine_is_one_list_of_all_writers(url: str) -> None:
    first, second = features_at(url), features_at(url)
    first.quarantine.add("a", "zero bytes", "empty_file")
    second.quarantine.add("b", "no frames", "no_frames")
    first.quarantine.add("a", "truncated", "truncated")
    assert [(e.video, e.reason) for e in second.quarantine.entries()] == [
        ("b", "no frames"),
        ("a", "truncated"),
    ]
    second.quarantine.remove(["b", "never there"])
    assert [entry.video for entry in FeatureStore(url).find("demo", "random").quarantine.entries()] == ["a"]


def test_a_copy_in_a_folder_is_a_store_and_the_other_way_round(url: str, tmp_path: Path) -> None:
    features = features_at(url)
    write(features, VIDEOS)
    features.quarantine.add("a", "zero bytes", "empty_file")
    remote = Remote(url)
    for path in objects(url):
        remote.download(path, tmp_path / path)
    copy = features_at(tmp_path)
    assert_holds(copy, VIDEOS)
    assert [entry.video for entry in copy.quarantine.entries()] == ["a"]
    remote.upload(tmp_path / "demo", "again/demo")
    assert_holds(features_at(f"{url}/again"), VIDEOS)


def test_find_names_what_is_there(url: str) -> None:
    with pytest.raises(FeaturesNotFound, match="it is empty"):
        FeatureStore(url).find("demo", "random")
    write(features_at(url), VIDEOS[:1])
    FeatureStore(url).feature_set("demo", "random", {"seed": 1}).create()
    found = FeatureStore(Path(url)).find("demo", "random")
    assert found.specification == SPECIFICATION
    assert found.location == f"{url}/{found.name}"
    with pytest.raises(FeaturesNotFound, match=f"{url} has no features demo/nss; it has:\n  demo/random@"):
        FeatureStore(url).find("demo", "nss")
    assert len(FeatureStore(url).feature_sets()) == 2


def test_damage_is_named_by_its_url_and_the_rest_stays_readable(url: str) -> None:
    write(features_at(url), VIDEOS[:2])
    write(features_at(url), VIDEOS[2:])
    features, remote = features_at(url), Remote(url)
    part = f"{features.name}/{features.part_of(VIDEOS[0])}"
    (chunk,) = (path for path in objects(url) if path.startswith(f"{part}/spatial/c."))
    for fault, damage in [
        ("too short", lambda: remote.write(chunk, b"abc")),
        ("is missing", lambda: remote.remove([chunk])),
    ]:
        damage()
        with pytest.raises(DamagedPart, match=f"{url}/{chunk}.*{fault}"):
            features.read(VIDEOS[1], "spatial")
        damages = verify(features)
        assert {(d.video, d.stream) for d in damages} == {(v, "spatial") for v in VIDEOS[:2]}
    assert_holds(features, VIDEOS[2:])


def test_a_damaged_marker_is_named_by_its_url_and_hides_its_videos(url: str) -> None:
    features = features_at(url)
    write(features, VIDEOS[:2])
    write(features, VIDEOS[2:])
    marker = f"{features.name}/{features.index.row(VIDEOS[0], '')[0].file}"
    whole = Remote(url).read([marker])[marker]
    Remote(url).write(marker, whole[:-10])
    reader = features_at(url)
    assert reader.videos() == VIDEOS[2:]
    assert [d.reason for d in verify(reader) if f"{url}/{marker}" in d.reason]
    with pytest.raises(VideoNotStored, match=f"{url}.*damaged marker may hide it"):
        reader.read(VIDEOS[0], "spatial")
    Remote(url).write(marker, whole)
    assert_holds(features_at(url), VIDEOS)


def test_only_old_parts_without_a_marker_are_litter(url: str) -> None:
    features = features_at(url)
    write(features, VIDEOS)
    remote = Remote(url)
    for name in ("parts-00000/part-dead/zarr.json", "parts-00000/part-dead/x/c.0.0", "part-beef.h5"):
        remote.write(f"{features.name}/{name}", b"x")
    assert features.clean() == []
    assert features.clean(foreign_hours=-1) == ["part-beef.h5", "parts-00000/part-dead"]
    assert_holds(features_at(url), VIDEOS)
    assert verify(features_at(url)) == []


def test_a_killed_writer_leaves_nothing_on_this_machine(url: str) -> None:
    child = os.fork()
    if child == 0:
        with features_at(url).writer() as writer:
            writer.add("lost", features_of("lost"))
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert any(f"-{child}-" in path.name for path in scratch().glob("part.tmp-*"))
    write(features_at(url), VIDEOS)
    assert not any(f"-{child}-" in path.name for path in scratch().iterdir())
    assert features_at(url).videos() == VIDEOS


@pytest.mark.usefixtures("_answering")
def test_whenever_the_network_goes_what_is_committed_is_whole_and_the_rest_is_not_there() -> None:
    url = f"flaky://bucket/{uuid.uuid4().hex}"
    write(features_at(url), VIDEOS[:3])
    before = set(scratch().glob("part.tmp-*"))
    failures = 0
    for requests in range(20):
        features = features_at(url)
        FlakyFileSystem.requests_left = requests
        try:
            write(features, VIDEOS[3:], part_bytes=1000)
            break
        except RemoteFailed as error:
            failures += 1
            assert "the network has gone" in str(error) and "Committed videos are safe" in str(error)
        finally:
            FlakyFileSystem.requests_left = None
        reader = features_at(url)
        assert_holds(reader, reader.videos())
        assert verify(reader) == []
        assert set(reader.videos()) >= set(VIDEOS[:3])
    assert failures > 3
    assert set(scratch().glob("part.tmp-*")) == before
    assert features_at(url).videos() == VIDEOS


@pytest.mark.usefixtures("_answering")
def test_a_read_without_a_network_says_so_and_the_next_one_works() -> None:
    url = f"flaky://bucket/{uuid.uuid4().hex}"
    features = features_at(url)
    write(features, VIDEOS[:2])
    FlakyFileSystem.requests_left = 0
    with pytest.raises(RemoteFailed, match=f"{url}.*the network has gone.*Check the network"):
        features.read(VIDEOS[0], "spatial")
    FlakyFileSystem.requests_left = None
    assert_holds(features, VIDEOS[:2])


def test_the_server_goes_while_a_writer_is_at_work(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"s3://bucket/{uuid.uuid4().hex}"
    features = features_at(url)
    with features.writer() as writer:
        writer.add("kept", features_of("kept"))
        writer.flush()
        writer.add("lost", features_of("lost"))
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        fsspec.filesystem("s3").clear_instance_cache()
        with pytest.raises(RemoteFailed, match=r"Could not connect.*Committed videos are safe"):
            writer.flush()
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
        fsspec.filesystem("s3").clear_instance_cache()
        writer.add("lost", features_of("lost"))
    assert_holds(features_at(url), ["kept", "lost"])


def test_no_bucket_and_no_credentials_say_what_to_do(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for attempt in (lambda s: s.find("demo", "random"), lambda s: s.feature_sets()):
        with pytest.raises(RemoteFailed, match=r"no bucket 'nobody'.*store\.path"):
            attempt(FeatureStore("s3://nobody/features"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{s3}/none")
    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(RemoteFailed, match="AWS_ACCESS_KEY_ID"):
        features_at("s3://bucket/features")
    fsspec.filesystem("s3").clear_instance_cache()


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(RemoteFailed, match="pip install gcsfs"):
        FeatureStore("gs://bucket/features").feature_sets()
    with pytest.raises(RemoteFailed, match="nowhere"):
        FeatureStore("nowhere://bucket/features").feature_sets()


def test_the_settings_take_a_url_and_the_commands_too(url: str, root: Path, tmp_path: Path) -> None:
    settings = load_settings(root / "pipelines.toml", [f"store.path={url}"])
    features = features_at(settings.store.path)
    write(features, VIDEOS)
    for command in (["ls"], ["show", "demo/random"], ["verify"], ["verify", "demo/random", "--sample", "2"]):
        result = CliRunner().invoke(app, [*command, "--store", url, "--json"])
        assert result.exit_code == 0, (command, result.output, result.exception)
        assert json.loads(result.output)
    shown = CliRunner().invoke(app, ["show", "demo/random", "--store", url]).output
    assert f"{url}/demo/random@" in shown
    assert export(features, tmp_path / "exported") == len(VIDEOS)
    saved = np.load(next((tmp_path / "exported").glob("*000.mp4.temporal.npy")))
    assert np.array_equal(saved, features_of(VIDEOS[0])["temporal"])


def test_training_reads_its_branches(url: str, root: Path) -> None:
    features = features_at(url)
    tokens = np.ones((3, 4, 6), np.float16)
    with features.writer() as writer:
        writer.add("v", {"tokens": tokens})
    dataset = DatasetSettings(
        name="demo", videos=root, labels=root, mos_range=(0, 1), source="made here", minimum_chunks=5
    )
    branch = BranchSettings.model_validate(
        {"encoder": "random", "stream": "tokens", "projector": {"kind": "mlp"}}
    )
    reader = FeatureReader(FeatureStore(url), dataset, {"spatial": branch})
    assert reader.videos() == {"v"}
    assert reader.read("v")["spatial"].shape == (5, 4, 6)


def test_extraction_writes_there_and_goes_on_where_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    videos = {name: encode(tmp_path / f"{name}.mp4", frames=20, rate=20) for name in ("one", "two")}
    videos["empty"] = tmp_path / "empty.mp4"
    videos["empty"].touch()
    run_job(Path(url), {"mean": FragileEncoder()}, {"one": videos["one"]})
    job, summary = run_job(Path(url), {"mean": FragileEncoder()}, videos)
    assert (summary.done, summary.already, summary.newly_quarantined) == (1, 1, 1)
    run_job(tmp_path / "folder", {"mean": FragileEncoder()}, videos)
    expected, found = (FeatureStore(at).find("set", "mean") for at in (tmp_path / "folder", url))
    assert found.videos() == expected.videos() == ["one", "two"]
    for stream in expected.streams:
        assert np.array_equal(found.read("two", stream), expected.read("two", stream))
    assert set(job.refused("mean")) == {"empty"}
    assert not list(tmp_path.glob("*:"))


def test_files_in_the_making_stay_on_this_machine(tmp_path: Path) -> None:
    assert is_url("s3://bucket/x") and is_url(Path("gs://bucket")) and not is_url(Path("C:/features"))
    assert not is_url("./features") and not is_url(Path("/features"))
    assert local_folder(tmp_path) == tmp_path
    spool = OverflowFile(local_folder("s3://bucket/x"), memory_bytes=0)
    spool.add("encoder", {"x": np.ones((2, 3), np.float32)})
    assert np.array_equal(next(iter(spool.streams("encoder")["x"])), np.ones((2, 3)))
    spool.close()


def test_a_refresh_fetches_new_markers_alone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = features_at(url)
    write(features_at(url), VIDEOS[:2], part_bytes=1)
    assert reader.videos() == VIDEOS[:2]
    write(features_at(url), VIDEOS[2:3])
    fetched: list[str] = []
    real = Remote.read
    monkeypatch.setattr(Remote, "read", lambda self, paths: fetched.extend(paths) or real(self, paths))
    reader.refresh()
    assert fetched == [f"{reader.name}/{reader.index.row(VIDEOS[2], '')[0].file}"]
    fetched.clear()
    write(features_at(url), VIDEOS[3:4])
    assert len(fetched) == 2, "a writer reads the specification and one marker, for its streams"


def test_what_is_written_later_counts_though_its_writers_clock_lags(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lagging, now = features_at(url), time.time_ns()
    assert lagging.videos() == []
    with monkeypatch.context() as clock:
        clock.setattr(time, "time_ns", lambda: now + 3600 * 10**9)
        write(features_at(url), VIDEOS[:2])
        lagging.quarantine.add("a", "no frames", "no_frames")
    write(lagging, VIDEOS[1:2], version=1)
    features_at(url).quarantine.remove("a")
    assert_holds(features_at(url), VIDEOS[:1])
    assert_holds(features_at(url), VIDEOS[1:2], version=1)
    assert features_at(url).quarantine.entries() == []


def test_repair_gc_and_compact_say_that_they_want_a_folder(url: str) -> None:
    features = features_at(url)
    write(features, VIDEOS[:1])
    for care in (compact, collect, lambda f: repair(f, [])):
        with pytest.raises(OnlyInFolders, match="copy it to a folder"):
            care(features)


def test_modification_times_are_those_of_the_storage(url: str) -> None:
    remote = Remote(url)
    remote.write("x", b"x")
    assert abs(remote.modified("x") - datetime.now(UTC)) < timedelta(minutes=5)
