import errno
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from extraction import run_job
from fragile_encoder import FragileEncoder
from small_videos import encode

from extract.run import overflow_file
from extract.run.overflow_file import OverflowFile
from store.care.verify import verify
from store.errors import InvalidFeatures, WriteFailed
from store.features import FeatureStore


def blocks(count, seed=0):
    """`count` chunks of two streams of different shape and dtype."""
    random = np.random.default_rng(seed)
    return [
        {
            "a": random.normal(size=(1 + n % 3, 4, 5)).astype(np.float16),
            "b": random.normal(size=(1, 7)).astype(np.float32),
        }
        for n in range(count)
    ]


@pytest.mark.parametrize("memory_bytes", [1 << 20, 500, 0])
def test_features_come_back_as_they_were_wherever_they_lay(tmp_path, memory_bytes):
    held, given = OverflowFile(tmp_path, memory_bytes), blocks(40)
    for features in given:
        held.add("encoder", features)
    assert held.size_bytes == sum(array.nbytes for features in given for array in features.values())
    for stream, read in held.streams("encoder").items():
        for _ in range(2):
            for found, features in zip(read, given, strict=True):
                np.testing.assert_array_equal(found, features[stream])
                assert found.dtype == features[stream].dtype
        whole = np.concatenate([features[stream] for features in given])
        np.testing.assert_array_equal(held.arrays()["encoder"][stream], whole)
    held.close()


def open_files(folder: Path) -> list[str]:
    """What this process has open below the folder, named or not."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor of this listing itself
            links.append(str(descriptor.readlink()))
    return [link for link in links if link.startswith(str(folder))]


def test_what_is_put_aside_has_no_name_and_goes_when_it_is_closed(tmp_path):
    held = OverflowFile(tmp_path, memory_bytes=100)
    for features in blocks(20):
        held.add("encoder", features)
    assert list(tmp_path.iterdir()) == []
    (file,) = open_files(tmp_path)
    assert file.endswith("(deleted)")
    held.close()
    assert open_files(tmp_path) == []


def test_a_full_disk_is_a_write_that_failed(tmp_path, monkeypatch):
    def full(**_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(overflow_file.tempfile, "TemporaryFile", full)
    with pytest.raises(WriteFailed, match=r"No space left on device.*Committed videos are safe"):
        OverflowFile(tmp_path, memory_bytes=0).add("encoder", blocks(1)[0])


class LongFeatures(FragileEncoder):
    """A megabyte a chunk, so that a few seconds of video stand for hours."""

    def encode(self, chunks):
        means = super().encode(chunks)
        return [{"mean": np.repeat(features["mean"], 1 << 16, axis=0)} for features in means]


def test_a_long_video_is_stored_block_by_block(tmp_path, monkeypatch):
    video = encode(tmp_path / "v.mp4", frames=96, rate=8)
    run_job(tmp_path / "in memory", {"mean": LongFeatures()}, {"v": video})
    held = []

    class Watched(OverflowFile):
        def add(self, encoder, features):
            super().add(encoder, features)
            held.append(self._in_memory_bytes)

    monkeypatch.setattr(
        "extract.run.encoding.OverflowFile", lambda folder: Watched(folder, memory_bytes=3 << 20)
    )
    run_job(tmp_path / "spilled", {"mean": LongFeatures()}, {"v": video})
    assert max(held) <= 3 << 20
    one, other = (FeatureStore(tmp_path / at).find("set", "mean") for at in ("in memory", "spilled"))
    assert one.length("v") == 12 << 16
    assert one.checksum("v", "mean") == other.checksum("v", "mean")
    assert verify(other) == []
    np.testing.assert_array_equal(one.read("v", "mean"), other.read("v", "mean"))
    assert not list((tmp_path / "spilled").glob("tmp*"))


@pytest.mark.parametrize("given", [lambda a: [a[:1], a[1:3], a[3:]], lambda a: (a[:2], a[2:])])
def test_a_stream_in_blocks_is_stored_as_if_it_were_whole(tmp_path, given):
    whole = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float16)
    features = FeatureStore(tmp_path).feature_set("set", "encoder", {})
    with features.writer(chunk_bytes=12) as writer:
        writer.add("whole", {"x": whole})
        writer.add("blocks", {"x": given(whole)})
    assert verify(features) == []
    assert features.checksum("whole", "x") == features.checksum("blocks", "x")
    np.testing.assert_array_equal(features.read("blocks", "x"), whole)


GOOD = np.ones((2, 3), np.float16)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([GOOD, GOOD * np.float16(np.nan)], "NaN"),
        ([GOOD, GOOD[:, :2]], r"expected \[n, 3\]"),
        ([GOOD, GOOD.astype(np.float32)], "float16"),
        ([GOOD, GOOD[:0]], "at least one item"),
        ([], "no blocks"),
        (iter([GOOD]), "read twice"),
    ],
)
def test_a_bad_block_is_refused_before_anything_of_its_video_is_written(tmp_path, bad, message):
    features = FeatureStore(tmp_path).feature_set("set", "encoder", {})
    with features.writer() as writer:
        writer.add("first", {"x": [GOOD, GOOD]})
        with pytest.raises(InvalidFeatures, match=message):
            writer.add("bad", {"x": bad})
        writer.add("last", {"x": GOOD})
    assert features.videos() == ["first", "last"]
    assert verify(features) == []
    np.testing.assert_array_equal(features.read("last", "x"), GOOD)


def test_blocks_that_cannot_be_read_again_drop_only_what_was_not_committed(tmp_path):
    class Vanishing:
        reads = 0

        def __iter__(self):
            self.reads += 1
            yield GOOD
            if self.reads == 2:
                raise RuntimeError("gone")

    features = FeatureStore(tmp_path).feature_set("set", "encoder", {})
    with features.writer() as writer:
        writer.add("kept", {"x": GOOD})
        writer.flush()
        with pytest.raises(RuntimeError, match="gone"):
            writer.add("bad", {"x": Vanishing()})
        writer.add("next", {"x": GOOD})
    assert features.videos() == ["kept", "next"]
    assert verify(features) == []
    assert features.clean() == []
