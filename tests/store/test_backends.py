"""One suite that every storage backend passes; what it expects is read with the format's own library."""

import json
import multiprocessing
import resource
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from stored_videos import SPECIFICATION, assert_holds, feature_set, features_of, write

from config.load import load_settings
from store.care.verify import verify
from store.errors import DamagedPart, WriteFailed
from store.feature_set import FeatureSet
from store.features import FeatureStore

VIDEOS = [f"batch/{number:03}.mp4" for number in range(12)]


@contextmanager
def _files_at_most(size_bytes: int) -> Iterator[None]:
    """As a full disk does, refuse to let files grow further."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class BackendSuite(ABC):
    """Inherited by a class for each backend, which says how to look at a part without our code."""

    name: ClassVar[str]

    @abstractmethod
    def plain(self, part: Path, stream: str) -> NDArray[Any]:
        """The whole stream, as the format's own library reads it."""

    @abstractmethod
    def place(self, features: FeatureSet, video: str, stream: str) -> tuple[Path, int]:
        """The file that holds a video's first byte, and where, by the format's own library."""

    @abstractmethod
    def lie(self, part: Path) -> str:
        """Let the metadata of `spatial` claim one item more. Returns what a report of it must name."""

    @pytest.fixture
    def features(self, tmp_path: Path) -> FeatureSet:
        return feature_set(tmp_path, self.name)

    @pytest.mark.parametrize(
        "sizes", [{}, {"part_bytes": 2000}, {"chunk_bytes": 200}, {"part_bytes": 1500, "chunk_bytes": 60}]
    )
    def test_features_read_back_bit_for_bit(self, features: FeatureSet, sizes: dict[str, int]) -> None:
        write(features, VIDEOS, **sizes)
        again = feature_set(features.path.parents[1])
        assert again.videos() == VIDEOS
        assert_holds(again, VIDEOS)
        assert verify(again) == []
        assert {marker.backend for marker in again.index.markers.values()} == {self.name}

    @pytest.mark.parametrize("chunk_bytes", [None, 300])
    def test_the_formats_own_library_shows_the_same_numbers(
        self, features: FeatureSet, chunk_bytes: int | None
    ) -> None:
        with features.writer(chunk_bytes=chunk_bytes) as writer:
            for video in VIDEOS:
                writer.add(video, features_of(video))
        part = features.path / features.part_of(VIDEOS[0])
        for stream in features.streams:
            expected = np.concatenate([features_of(video)[stream] for video in VIDEOS])
            found = self.plain(part, stream)
            assert found.dtype == expected.dtype
            assert found.tobytes() == expected.tobytes()

    def test_the_bytes_lie_where_the_formats_own_library_says(self, features: FeatureSet) -> None:
        write(features, VIDEOS)
        for video in VIDEOS:
            for stream, expected in features_of(video).items():
                file, position = self.place(features, video, stream)
                assert file.read_bytes()[position:].startswith(expected.tobytes())

    def test_a_small_part_is_hardly_larger_than_its_features(self, features: FeatureSet) -> None:
        with features.writer() as writer:
            writer.add("v", {"x": np.ones((3, 1000), np.float32)})
        files = [path for path in features.path.rglob("*") if path.is_file()]
        assert features.size_bytes == 12_000
        assert sum(path.stat().st_size for path in files) < 12_000 + 10_000

    def test_a_changed_bit_is_laid_to_the_one_video(self, features: FeatureSet) -> None:
        write(features, VIDEOS, chunk_bytes=200)
        file, position = self.place(features, VIDEOS[3], "temporal")
        data = bytearray(file.read_bytes())
        data[position] ^= 1
        file.write_bytes(data)
        (damage,) = verify(features)
        assert (damage.video, damage.stream) == (VIDEOS[3], "temporal")
        assert "crc32c" in damage.reason
        with pytest.raises(DamagedPart, match=f"'{VIDEOS[3]}', stream 'temporal': .*crc32c.*store repair"):
            features.read_verified(VIDEOS[3], "temporal")
        for stream, expected in features_of(VIDEOS[4]).items():
            assert np.array_equal(features.read_verified(VIDEOS[4], stream), expected)

    def test_short_and_missing_files_are_named(self, features: FeatureSet) -> None:
        write(features, VIDEOS)
        file, position = self.place(features, VIDEOS[-1], "temporal")
        data = file.read_bytes()
        file.write_bytes(data[:position])
        with pytest.raises(DamagedPart, match=f"{file} is too short"):
            features.read(VIDEOS[-1], "temporal")
        file.unlink()
        with pytest.raises(DamagedPart, match=f"{file} cannot be opened"):
            features.read(VIDEOS[-1], "temporal")
        assert (VIDEOS[-1], "temporal") in {(damage.video, damage.stream) for damage in verify(features)}

    def test_verify_checks_what_other_tools_go_by(self, features: FeatureSet) -> None:
        write(features, VIDEOS)
        named = self.lie(features.path / features.part_of(VIDEOS[0]))
        (damage,) = verify(features)
        assert damage.stream == "spatial" and named in damage.reason and "shape" in damage.reason
        assert_holds(features, VIDEOS)

    def test_a_full_disk_is_reported_and_costs_only_the_open_part(self, features: FeatureSet) -> None:
        write(features, VIDEOS[:2])
        for limit in (1_000, 30_000, 90_000):
            with _files_at_most(limit), pytest.raises(WriteFailed, match=r"File too large.*are safe"):
                _write_larger(features)
            assert features.clean() == []
        again = feature_set(features.path.parents[1], self.name)
        assert again.videos() == VIDEOS[:2]
        assert_holds(again, VIDEOS[:2])
        write(again, VIDEOS[2:])
        assert_holds(again, VIDEOS)

    def test_threads_read_at_once(self, features: FeatureSet) -> None:
        write(features, VIDEOS, chunk_bytes=300)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: assert_holds(features, VIDEOS), range(16)))

    @pytest.mark.parametrize("method", ["fork", "spawn"])
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_processes_read_at_once(self, features: FeatureSet, method: str) -> None:
        write(features, VIDEOS, chunk_bytes=300)
        assert_holds(features, VIDEOS)
        context = multiprocessing.get_context(method)
        workers = [context.Process(target=assert_holds, args=(features, VIDEOS)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0]

    def test_one_set_holds_parts_of_every_backend(self, features: FeatureSet, tmp_path: Path) -> None:
        write(features, VIDEOS[:6])
        for number, other in enumerate(("hdf5", "zarr"), start=1):
            write(feature_set(tmp_path, other), VIDEOS[3 * number : 3 * number + 4], version=number)
        features.refresh()
        assert verify(features) == []
        assert_holds(features, VIDEOS[:3])
        assert_holds(features, VIDEOS[3:6], version=1)
        assert_holds(features, VIDEOS[6:10], version=2)


def _write_larger(features: FeatureSet) -> None:
    """Streams of 120 and 126 kB that hardly compress."""
    noise = np.random.default_rng(0).standard_normal
    with features.writer(chunk_bytes=100_000) as writer:
        for number in range(10):
            temporal = noise((900, 7)).astype(np.float16)
            writer.add(f"larger {number}", {"spatial": noise((200, 3, 5), np.float32), "temporal": temporal})


class TestZarr(BackendSuite):
    name = "zarr"

    def plain(self, part: Path, stream: str) -> NDArray[Any]:
        array = zarr.open_group(part, mode="r")[stream]
        assert isinstance(array, zarr.Array)
        assert not array.compressors and not array.filters
        return np.asarray(array[:])

    def place(self, features: FeatureSet, video: str, stream: str) -> tuple[Path, int]:
        part = features.path / features.part_of(video)
        array = zarr.open_group(part, mode="r")[stream]
        assert isinstance(array, zarr.Array)
        (first,) = _first_items(features, video, stream)
        chunk, within = divmod(first, array.chunks[0])
        key = array.metadata.encode_chunk_key((chunk, *[0] * (array.ndim - 1)))
        return part / stream / key, within * int(np.prod(array.shape[1:])) * array.dtype.itemsize

    def lie(self, part: Path) -> str:
        file = part / "spatial" / "zarr.json"
        metadata = json.loads(file.read_text())
        metadata["shape"][0] += 1
        file.write_text(json.dumps(metadata))
        return str(file)


class TestHdf5(BackendSuite):
    name = "hdf5"

    def plain(self, part: Path, stream: str) -> NDArray[Any]:
        with h5py.File(part) as file:
            dataset = file[stream]
            assert dataset.compression is None and not dataset.shuffle and not dataset.fletcher32
            assert np.isnan(dataset.fillvalue)
            return np.asarray(dataset[:])

    def place(self, features: FeatureSet, video: str, stream: str) -> tuple[Path, int]:
        part = features.path / features.part_of(video)
        (first,) = _first_items(features, video, stream)
        with h5py.File(part) as file:
            dataset = file[stream]
            items = dataset.chunks[0]
            corner = (first // items * items, *[0] * (dataset.ndim - 1))
            begin = dataset.id.get_chunk_info_by_coord(corner).byte_offset
            item_bytes = int(np.prod(dataset.shape[1:])) * dataset.dtype.itemsize
        return part, begin + first % items * item_bytes

    def lie(self, part: Path) -> str:
        with h5py.File(part, "r+") as file:
            file["spatial"].resize(len(file["spatial"]) + 1, axis=0)
        return str(part)

    def test_the_settings_choose_it(self, root: Path, tmp_path: Path) -> None:
        overrides = ["store.backend=hdf5", f"store.path={tmp_path}"]
        store = load_settings(root / "pipelines.toml", overrides).store
        write(FeatureStore(store.path, store.backend).feature_set("demo", "random", SPECIFICATION), VIDEOS)
        assert feature_set(tmp_path).part_of(VIDEOS[0]).endswith(".h5")

    def test_a_part_is_one_file_that_tells_its_format(self, features: FeatureSet) -> None:
        write(features, VIDEOS)
        (part,) = features.path.glob("part-*.h5")
        assert part.name == features.part_of(VIDEOS[0])
        assert part.with_suffix(".json").is_file()
        assert h5py.is_hdf5(part)

    def test_what_a_chunk_does_not_fill_is_nan(self, features: FeatureSet) -> None:
        with features.writer(chunk_bytes=16) as writer:
            writer.add("v", {"x": np.arange(1, 7, dtype=np.float32)})
        (part,) = features.path.glob("part-*.h5")
        with h5py.File(part) as file:
            last = file["x"].id.get_chunk_info(1).byte_offset
        filled = np.frombuffer(part.read_bytes()[last : last + 16], "<f4")
        assert filled[:2].tolist() == [5, 6] and np.isnan(filled[2:]).all()

    def test_verify_notices_a_file_that_was_packed_again(self, features: FeatureSet) -> None:
        write(features, VIDEOS, chunk_bytes=200)
        part = features.path / features.part_of(VIDEOS[0])
        packed = part.with_name("packed")
        with h5py.File(part) as old, h5py.File(packed, "w") as new:
            new.attrs["made by"] = "somebody who copies datasets"
            for stream in reversed(list(old)):
                old.copy(stream, new)
        packed.replace(part)
        reasons = [damage.reason for damage in verify(features) if damage.video is None]
        assert len(reasons) == 2 and all("chunk offsets" in reason for reason in reasons)

    def test_a_part_that_is_no_hdf5_is_named(self, features: FeatureSet) -> None:
        write(features, VIDEOS)
        part = features.path / features.part_of(VIDEOS[0])
        with part.open("r+b") as file:
            file.write(b"\0" * 8)
        (damage,) = verify(features)
        assert damage.stream is None and f"{part} cannot be opened as HDF5" in damage.reason
        assert_holds(features, VIDEOS)


def _first_items(features: FeatureSet, *video_and_stream: str) -> list[int]:
    """Where a video begins in its stream, counted from the lengths of those written before it."""
    video, stream = video_and_stream
    before = VIDEOS[: VIDEOS.index(video)]
    assert {features.part_of(other) for other in before} <= {features.part_of(video)}
    return [sum(len(features_of(other)[stream]) for other in before)]
