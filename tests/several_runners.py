"""Small jobs for executors of several processes or machines, and what one process alone would have stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from extraction import recipe

from config.schema import EncoderSettings
from extract.run.extractor import Extractor
from extract.tasks import Outcome, Recipe, VideoTask
from store.care.verify import verify
from store.features import FeatureSet, FeatureStore

TINY_CLIP = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
NSS = EncoderSettings(name="nss", kind="nss", dtype="float32")
CLIP = EncoderSettings(name="clip", kind="clip", weights="random:0", architecture=TINY_CLIP)


def tiny_recipe(store: Path, *encoders: EncoderSettings, **changes: Any) -> Recipe:
    """Features of tiny encoders, committed often."""
    how = recipe(store, **{"commit_seconds": 0.1, **changes})
    return replace(how, encoders=encoders or (NSS,))


def tasks_of(videos: Mapping[str, Path], how: Recipe) -> list[VideoTask]:
    """All encoders of the recipe for each video."""
    names = tuple(settings.name for settings in how.encoders)
    return [VideoTask(video, path, names) for video, path in videos.items()]


def undisturbed(how: Recipe, tasks: Sequence[VideoTask]) -> list[Outcome]:
    """Outcomes of an extraction by this process."""
    with Extractor(how, "cpu") as extractor:
        return list(extractor.extract(tasks))


def stored(store: Path) -> Iterator[FeatureSet]:
    """Every feature set."""
    yield from FeatureStore(store).feature_sets()


def assert_same_features(one: Path, other: Path) -> None:
    """The same videos, bit for bit, the same quarantine, and nothing damaged."""
    for expected, found in zip(stored(one), stored(other), strict=True):
        assert found.name == expected.name
        assert found.videos() == expected.videos()
        assert verify(found) == []
        for video in expected.videos():
            for stream in expected.streams:
                np.testing.assert_array_equal(found.read(video, stream), expected.read(video, stream))
            assert found.meta(video) == expected.meta(video)
        refused = [{e.video: e.error_type for e in s.quarantine.entries()} for s in (expected, found)]
        assert refused[0] == refused[1]
