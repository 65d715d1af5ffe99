"""Seeded splits: complete, disjoint, repeatable, and never through a content group."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.labels.errors import SplitError
from store.labels.files import Label, read_labels
from store.labels.splits import Split, k_fold, random_splits, train_test

group_lists = st.lists(st.sampled_from("abcdefghijkl"), min_size=8, max_size=60).filter(
    lambda groups: len(set(groups)) >= 5
)
seeds = st.integers(0, 2**32 - 1)


def labels_for(groups: Sequence[str]) -> list[Label]:
    return [Label(f"{i:03}", float(i)) for i in range(len(groups))]


def ids(split: Split) -> dict[str, list[str]]:
    return {name: [label.video for label in part] for name, part in split.items()}


def assert_partition(split: Split, labels: Sequence[Label], groups: Sequence[str]) -> None:
    assert list(split) == ["train", "val", "test"]
    together = [label.video for part in split.values() for label in part]
    assert sorted(together) == [label.video for label in labels]
    group_of = {label.video: group for label, group in zip(labels, groups, strict=True)}
    parts = [{group_of[label.video] for label in part} for part in split.values()]
    assert sum(len(part) for part in parts) == len(set(groups))


@settings(max_examples=50, deadline=None)
@given(group_lists, seeds, st.sampled_from([0.0, 0.1, 0.2, 0.4]), st.sampled_from([0.0, 0.1, 0.3]))
def test_split_is_a_partition_of_groups_in_any_order(
    groups: list[str], seed: int, test_share: float, val_share: float
) -> None:
    labels = labels_for(groups)
    split = train_test(labels, groups, test_share, val_share, seed)
    assert_partition(split, labels, groups)
    assert bool(split["test"]) == (test_share > 0) and bool(split["val"]) == (val_share > 0)
    shuffled = list(zip(labels, groups, strict=True))
    random.Random(seed).shuffle(shuffled)
    again = train_test(
        [pair[0] for pair in shuffled], [pair[1] for pair in shuffled], test_share, val_share, seed
    )
    assert ids(again) == ids(split)


@settings(max_examples=50, deadline=None)
@given(group_lists, seeds, st.integers(2, 5), st.sampled_from([0.0, 0.1]))
def test_folds_test_every_video_once(groups: list[str], seed: int, folds: int, val_share: float) -> None:
    labels = labels_for(groups)
    splits = k_fold(labels, groups, folds, seed, val_share)
    for split in splits:
        assert_partition(split, labels, groups)
        assert split["train"] and split["test"]
    tested = sorted(label.video for split in splits for label in split["test"])
    assert tested == [label.video for label in labels]
    backwards = k_fold(labels[::-1], groups[::-1], folds, seed, val_share)
    assert [ids(split) for split in backwards] == [ids(split) for split in splits]


@settings(max_examples=20, deadline=None)
@given(group_lists, seeds)
def test_more_random_splits_keep_the_first_ones(groups: list[str], seed: int) -> None:
    labels = labels_for(groups)
    few, many = (random_splits(labels, groups, count, 0.2, 0.1, seed) for count in (2, 4))
    assert [ids(split) for split in many[:2]] == [ids(split) for split in few]
    for split in many:
        assert_partition(split, labels, groups)


def test_seeds_and_repeats_differ_on_real_labels(shared_data: Path) -> None:
    labels = read_labels(shared_data / "labels/KoNViD-1k/KONVID_1K_metadata.csv")
    groups = [label.video for label in labels]
    splits = random_splits(labels, groups, 3, 0.2, 0.1, 0) + random_splits(labels, groups, 1, 0.2, 0.1, 1)
    assert {tuple(len(part) for part in split.values()) for split in splits} == {(840, 120, 240)}
    assert len({tuple(ids(split)["test"]) for split in splits}) == 4


def test_impossible_splits_are_refused() -> None:
    labels = labels_for("aabb")
    with pytest.raises(SplitError, match="4 videos in 2 content groups"):
        train_test(labels, list("aabb"), 0.2, 0.1, 0)
    with pytest.raises(SplitError, match="expected 2 to 2 folds"):
        k_fold(labels, list("aabb"), 3, 0)
    with pytest.raises(SplitError, match="one for each label"):
        train_test(labels, ["a"], 0.2, 0.1, 0)
    with pytest.raises(SplitError, match="000 is labelled twice"):
        train_test([labels[0], *labels], list("aaabb"), 0.2, 0.0, 0)
