"""Any sequence of writes, crashes and reads, by both backends, against a plain dictionary."""

import os
import shutil
import tempfile
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray
from stored_videos import feature_set, features_of

from store.care.verify import verify
from store.durable.owner import is_temporary, temporary_name
from store.errors import VideoNotStored

VIDEOS = [f"v{number}" for number in range(6)]
_NO_PROCESS = 2**22 + 1
"""Above the largest process number of Linux."""

some_videos = st.lists(st.sampled_from(VIDEOS), min_size=1, max_size=4, unique=True)
backends = st.sampled_from(["zarr", "hdf5"])
versions = st.integers(0, 5)
sizes = st.fixed_dictionaries(
    {"part_bytes": st.sampled_from([1, 400, 1 << 30]), "chunk_bytes": st.sampled_from([None, 1, 150, 4000])}
)


class StoreModel(RuleBasedStateMachine):
    """`stored` is what a reader that comes now must see; `seen`, what the long-lived reader must."""

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.stored: dict[str, int] = {}
        self.seen: dict[str, int] = {}
        self.reader = feature_set(self.root)
        assert self.reader.videos() == []

    @rule(videos=some_videos, version=versions, backend=backends, sizes=sizes)
    def write(self, videos: list[str], version: int, backend: str, sizes: dict[str, int]) -> None:
        features = feature_set(self.root, backend)
        with features.writer(**sizes) as writer:
            for video in videos:
                writer.add(video, features_of(video, version))
        self.stored |= dict.fromkeys(videos, version)
        parts = {marker.part for marker in features.index.markers.values()}
        markers = {f"{Path(part).stem}.json" for part in parts}
        assert {path.name for path in features.path.iterdir()} == {"feature.json", *parts, *markers}

    @rule(videos=some_videos, flushed=st.booleans(), backend=backends)
    def interrupt(self, videos: list[str], flushed: bool, backend: str) -> None:
        with pytest.raises(KeyboardInterrupt), feature_set(self.root, backend).writer() as writer:
            writer.add(videos[0], features_of(videos[0], 6))
            if flushed:
                writer.flush()
                self.stored[videos[0]] = 6
            for video in videos[1:]:
                writer.add(video, features_of(video, 7))
            raise KeyboardInterrupt

    @rule(videos=some_videos, backend=backends)
    def die_while_writing(self, videos: list[str], backend: str) -> None:
        features = feature_set(self.root, backend)
        with features.writer(chunk_bytes=1) as writer:
            for video in videos:
                writer.add(video, features_of(video, 8))
            (temporary,) = features.path.glob("part.tmp-*")
            left = features.path / temporary_name("part").replace(f"-{os.getpid()}-", f"-{_NO_PROCESS}-")
            copy = shutil.copytree if temporary.is_dir() else shutil.copy
            copy(temporary, left)
            writer.discard()
        assert is_temporary(left.name) and left.exists()

    @rule(backend=backends)
    def die_before_the_marker_has_its_name(self, backend: str) -> None:
        aside = feature_set(self.root / "aside", backend)
        with aside.writer() as writer:
            writer.add("v0", features_of("v0", 9))
        features = feature_set(self.root)
        features.create()
        unique = uuid.uuid4().hex
        (part,) = [path for path in aside.path.glob("part-*") if path.suffix != ".json"]
        (marker,) = aside.path.glob("part-*.json")
        part.rename(features.path / f"part-{unique}{part.suffix}")
        owner = temporary_name("part", unique).replace(f"-{os.getpid()}-", f"-{_NO_PROCESS}-")
        marker.rename(features.path / f"{owner}.json")

    @rule()
    def refresh(self) -> None:
        self.reader.refresh()
        self.seen = dict(self.stored)

    @rule()
    def clean(self) -> None:
        features = feature_set(self.root)
        features.clean()
        assert features.clean() == []

    @rule()
    def verify(self) -> None:
        assert verify(feature_set(self.root)) == []
        assert verify(self.reader) == []

    @rule(video=st.sampled_from(VIDEOS), data=st.data())
    def read_a_window(self, video: str, data: st.DataObject) -> None:
        for features, expected in ((self.reader, self.seen), (feature_set(self.root), self.stored)):
            for stream in ("spatial", "temporal"):
                if video not in expected:
                    with pytest.raises(VideoNotStored):
                        features.read(video, stream)
                    continue
                whole = features_of(video, expected[video])[stream]
                assert features.length(video, stream) == len(whole)
                start = data.draw(st.integers(0, len(whole)))
                stop = data.draw(st.integers(start, len(whole)))
                _assert_equal(features.read(video, stream, start, stop), whole[start:stop])

    @invariant()
    def everything_that_was_committed_is_there(self) -> None:
        assert feature_set(self.root).videos() == sorted(self.stored)
        assert self.reader.videos() == sorted(self.seen)

    def teardown(self) -> None:
        shutil.rmtree(self.root)


def _assert_equal(found: NDArray[np.generic], expected: NDArray[np.generic]) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


_QUICK = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_the_store_does_what_a_dictionary_does() -> None:
    run_state_machine_as_test(StoreModel, settings=_QUICK)


@pytest.mark.soak
def test_the_store_does_what_a_dictionary_does_for_a_long_time() -> None:
    run_state_machine_as_test(StoreModel, settings=settings(_QUICK, max_examples=100, stateful_step_count=30))
