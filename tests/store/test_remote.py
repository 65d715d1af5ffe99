"""The store in object storage: in fsspec's memory, and on a server that speaks S3, where there is one."""

import os
import pickle
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from remote_stores import VIDEOS, features_at, objects
from stored_videos import SPECIFICATION, assert_holds, features_of, write

from store.care.verify import verify
from store.errors import FeaturesNotFound
from store.features import FeatureStore
from store.remote.storage import Remote

# moto's server and botocore warn of what they do inside themselves.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning")


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


@pytest.mark.slow
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


@pytest.mark.slow
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
    reader_remote.remove(f"{reader.name}/{reader.index.row(VIDEOS[5], '')[0].file}")
    reader.refresh()
    assert reader.videos() == VIDEOS[:4]


@pytest.mark.slow
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
    assert [writer.wait(1200) for writer in writers] == [0, 0]
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


@pytest.mark.slow
def test_a_refresh_fetches_new_markers_alone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = features_at(url)
    write(features_at(url), VIDEOS[:2], part_bytes=1)
    assert reader.videos() == VIDEOS[:2]
    write(features_at(url), VIDEOS[2:3])
    fetched: list[str] = []
    real = Remote.read_all
    monkeypatch.setattr(Remote, "read_all", lambda self, paths: fetched.extend(paths) or real(self, paths))
    reader.refresh()
    assert fetched == [reader.index.row(VIDEOS[2], "")[0].file]
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


def test_modification_times_are_those_of_the_storage(url: str) -> None:
    remote = Remote(url)
    remote.write("x", b"x")
    assert abs(remote.last_change("x") - time.time()) < 300
