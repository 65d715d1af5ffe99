"""Branches whose items differ in length: key frames and frames, read whole, in part, evenly spaced."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from config.load import load_settings
from config.schema import BranchSettings, ProjectorSettings
from store.features import FeatureStore
from train.data.items import begins_of, chosen_items, numbers_of, step_seconds
from train.data.reader import FeatureReader
from train.errors import TrainError
from train.model.projectors import Projector, projected_chunks

FRAMES, KEYS = 75, 3
MLP = ProjectorSettings(kind="mlp")
AT_POSITIONS = ProjectorSettings(kind="mlp", positions=100)


def branches(**motion: Any) -> dict[str, BranchSettings]:
    return {
        "key_frames": BranchSettings(encoder="siglip", stream="tokens", projector=MLP),
        "motion": BranchSettings(
            **{"encoder": "slowfast", "stream": "motion", "projector": AT_POSITIONS, **motion}
        ),
    }


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """A video of 3 s of which the last has 15 frames, the same without a frame rate, one without a tail."""
    made = FeatureStore(tmp_path / "features")
    keys = np.arange(KEYS * 2, dtype=np.float32).reshape(KEYS, 2, 1)
    motion = np.arange(FRAMES, dtype=np.float32).reshape(FRAMES, 1)
    per_frame = {"kind": "slowfast", "frames": {"count": 0, "rule": "all"}}
    with (
        made.feature_set("demo", "siglip", {"chunk_seconds": "1"}).writer() as siglip,
        made.feature_set("demo", "slowfast", per_frame).writer() as slowfast,
    ):
        for video, meta in (("v", {"fps": 30.0}), ("unknown", {})):
            siglip.add(video, {"tokens": keys}, meta)
            slowfast.add(video, {"motion": motion}, meta)
    return made


def reader(store: FeatureStore, root: Path, **motion: Any) -> FeatureReader:
    dataset = load_settings(root / "pipelines.toml").datasets["demo"]
    return FeatureReader(store, dataset, branches(**motion))


def test_items_begin_at_their_seconds(store: FeatureStore, root: Path) -> None:
    video = reader(store, root).read("v")
    assert begins_of(video, "key_frames").tolist() == [0, 1000, 2000]
    assert begins_of(video, "motion").tolist() == [round(1000 * frame / 30) for frame in range(FRAMES)]
    unknown = reader(store, root).read("unknown")
    assert set(unknown) == {"key_frames", "motion"}
    assert begins_of(unknown, "key_frames").tolist() == pytest.approx([0, 1 / 3, 2 / 3])


@pytest.mark.parametrize(("start", "stop", "frames"), [(1, 2, (30, 60)), (2, 3, (60, 75)), (0, 2, (0, 60))])
def test_a_part_has_the_frames_of_its_seconds(
    store: FeatureStore, root: Path, start: int, stop: int, frames: tuple[int, int]
) -> None:
    own = reader(store, root)
    part = own.read("v", start, stop)
    assert part["key_frames"][:, 0, 0].tolist() == [2.0 * second for second in range(start, stop)]
    assert part["motion"].flatten().tolist() == list(range(*frames))
    assert numbers_of(part, "motion").tolist() == list(range(*frames))
    assert own.chunks("v", start, stop) == {"key_frames": stop - start, "motion": frames[1] - frames[0]}
    assert own.chunks("v", start, stop) == {name: len(part[name]) for name in ("key_frames", "motion")}
    alone = own.read("v", start, stop, ("motion",))
    assert torch.equal(alone["motion"], part["motion"])


def test_what_is_not_there_or_not_known_is_refused(store: FeatureStore, root: Path) -> None:
    own = reader(store, root)
    with pytest.raises(
        TrainError, match=r"v: nothing of siglip\.tokens, 3 items of 1 s, begins within chunks 3"
    ):
        own.read("v", 3, 5)
    with pytest.raises(
        TrainError, match=r"siglip\.tokens 3, slowfast\.motion 75.*does not say when each begins"
    ):
        own.read("unknown", 0, 1)


def test_evenly_spaced_frames_keep_their_numbers_and_seconds(store: FeatureStore, root: Path) -> None:
    own = reader(store, root, at_most=5)
    video, expected = own.read("v"), [0, 18, 37, 55, 74]
    assert own.chunks("v") == {"key_frames": 3, "motion": 5}
    assert video["motion"].flatten().tolist() == expected == numbers_of(video, "motion").tolist()
    assert begins_of(video, "motion").tolist() == [round(1000 * frame / 30) for frame in expected]
    projector = Projector(AT_POSITIONS, 1, 1, 4, 1.0)
    (found,) = projected_chunks(projector, "motion", [video])
    (whole,) = projected_chunks(projector, "motion", [reader(store, root).read("v")])
    torch.testing.assert_close(found, whole[expected])


def test_which_items_are_chosen() -> None:
    motion = branches(at_most=3)["motion"]
    assert chosen_items(7, motion) == [0, 3, 6] and chosen_items(2, motion) == [0, 1]
    assert chosen_items(2, motion, minimum=4) == [0, 1, 1, 1]
    assert chosen_items(7, branches(at_most=1)["motion"]) == [0]


def test_how_long_an_item_lasts() -> None:
    assert step_seconds({"chunk_seconds": "1/2"}, None) == 0.5
    assert step_seconds({"frames": {"rule": "all"}}, 25.0) == 1 / 25
    assert step_seconds({"frames": {"rule": "all"}}, None) is None
    assert step_seconds({"frames": {"rule": "first"}}, 25.0) is None


def test_slots_and_positions_that_cannot_be_are_refused(root: Path) -> None:
    for override, message in (
        (
            "slots=[['spatial'],['motion']]",
            "slots names 'motion'; branches with tokens are spatial, temporal",
        ),
        ("slots=[['spatial']]", "slots leaves out temporal"),
        ("slots=[['spatial','spatial'],['temporal']]", "expected one branch or more, each once"),
        ("branches.spatial.projector.resample=[2,2]", "resample and tokens both say"),
    ):
        with pytest.raises(Exception, match=message):
            load_settings(root / "pipelines.toml", [f"pipelines.tiny.{override}"])
    with pytest.raises(Exception, match="positions is for kind = mlp: leave it out of a vit"):
        load_settings(root / "pipelines.toml", ["pipelines.lmm-vqa.branches.spatial.projector.positions=9"])
    order, end = (
        "pipelines.tiny.token_order=interleaved",
        "pipelines.tiny.branches.spatial.projector.end_token=true",
    )
    with pytest.raises(
        Exception, match=r"interleaved has no blocks: leave out spatial\.projector\.end_token"
    ):
        load_settings(root / "pipelines.toml", [order, end])
