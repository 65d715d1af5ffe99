"""The store in object storage: damage, litter, dead writers, and networks that fail."""

import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from remote_stores import VIDEOS, FlakyFileSystem, features_at, objects
from stored_videos import assert_holds, features_of, write

from extract.executors.shared_job import SharedJob, remove_dead_jobs
from store.care.compact import compact
from store.care.garbage import collect
from store.care.repair import repair
from store.care.verify import verify
from store.durable.owner import temporary_name
from store.errors import DamagedPart, OnlyInFolders, RemoteFailed, VideoNotStored
from store.features import FeatureStore
from store.remote.place import scratch
from store.remote.storage import Remote

# moto's server and botocore warn of what they do inside themselves.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning")


@pytest.fixture
def _answering() -> Iterator[None]:
    yield
    FlakyFileSystem.requests_left = None


@pytest.mark.slow
def test_damage_is_named_by_its_url_and_the_rest_stays_readable(url: str) -> None:
    write(features_at(url), VIDEOS[:2])
    write(features_at(url), VIDEOS[2:])
    features, remote = features_at(url), Remote(url)
    part = f"{features.name}/{features.part_of(VIDEOS[0])}"
    (chunk,) = (path for path in objects(url) if path.startswith(f"{part}/spatial/c."))
    for fault, damage in [
        ("too short", lambda: remote.write(chunk, b"abc")),
        ("is missing", lambda: remote.remove(chunk)),
    ]:
        damage()
        with pytest.raises(DamagedPart, match=f"{url}/{chunk}.*{fault}"):
            features.read(VIDEOS[1], "spatial")
        damages = verify(features)
        assert {(d.video, d.stream) for d in damages} == {(v, "spatial") for v in VIDEOS[:2]}
    assert_holds(features, VIDEOS[2:])


@pytest.mark.slow
def test_a_damaged_marker_is_named_by_its_url_and_hides_its_videos(url: str) -> None:
    features = features_at(url)
    write(features, VIDEOS[:2])
    write(features, VIDEOS[2:])
    marker = f"{features.name}/{features.index.row(VIDEOS[0], '')[0].file}"
    whole = Remote(url).read(marker)
    assert whole
    Remote(url).write(marker, whole[:-10])
    reader = features_at(url)
    assert reader.videos() == VIDEOS[2:]
    assert [d.reason for d in verify(reader) if f"{url}/{marker}" in d.reason]
    with pytest.raises(VideoNotStored, match=f"{url}.*damaged marker may hide it"):
        reader.read(VIDEOS[0], "spatial")
    Remote(url).write(marker, whole)
    assert_holds(features_at(url), VIDEOS)


@pytest.mark.slow
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


@pytest.mark.slow
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
    own = f"part.tmp-*-{os.getpid()}-*"
    before = set(scratch().glob(own))
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
    assert set(scratch().glob(own)) == before
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_gc_removes_litter_of_any_folder_and_superseded_parts(url: str) -> None:
    features, remote = features_at(url), Remote(url)
    write(features, VIDEOS[:2])
    old = features.part_of(VIDEOS[0])
    write(features, VIDEOS[:2], version=1)
    folders = [f"parts-{number:05}" for number in range(5)]
    litter = [f"{folder}/part-dead" for folder in folders]
    for part in litter:
        remote.write(f"{features.name}/{part}/x/c.0.0", b"x" * 7)
    assert not collect(features).litter and set(collect(features).waiting) == {old}
    newest = sorted(litter)[-2:]
    with pytest.MonkeyPatch.context() as later:
        real = Remote.last_change
        later.setattr(Remote, "last_change", lambda self, path: real(self, path) - 25 * 3600)
        assert collect(features, dry_run=True).litter == dict.fromkeys(litter, 7)
        assert features.clean() == newest
        done = collect(features)
    assert (set(done.litter), set(done.superseded)) == (set(litter) - set(newest), {old})
    assert not any("part-dead" in path or old in path for path in objects(url))
    assert_holds(features_at(url), VIDEOS[:2], version=1)
    assert verify(features_at(url)) == []


def test_the_job_of_a_dead_driver_is_removed_and_that_of_a_living_one_stays(url: str) -> None:
    mine = temporary_name("job")
    for name in (mine, mine.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")):
        SharedJob(Path(url), name).open()
    remove_dead_jobs(Path(url))
    assert set(objects(url)) == {"store.json", f".jobs/{mine}/open"}


@pytest.mark.slow
def test_repair_and_compact_say_that_they_want_a_folder(url: str) -> None:
    features = features_at(url)
    write(features, VIDEOS[:1])
    for care in (compact, lambda f: repair(f, [])):
        with pytest.raises(OnlyInFolders, match="copy it to a folder"):
            care(features)
