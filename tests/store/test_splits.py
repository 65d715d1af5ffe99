"""Seeded splits: complete, disjoint, repeatable, and never through a content group."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.labels.errors import SplitError
from store.labels.files import Label
from store.labels.merging import read_labels
from store.labels.splits import Split, k_fold, random_splits, train_test

group_lists = st.lists(st.sampled_from("abcdefghijkl"), min_size=8, max_size=60).filter(
    lambda groups: len(set(groups)) >= 5
)
seeds = st.integers(0, 2**32 - 1)


def labels_for(groups: Sequence[str]) -> list[Label]:
    return [Label(f"{i:03}", float(i), group=group) for i, group in enumerate(groups)]


def ids(split: Split) -> dict[str, list[str]]:
    return {name: [label.video for label in part] for name, part in split.items()}


def assert_partition(split: Split, labels: Sequence[Label]) -> None:
    assert list(split) == ["train", "val", "test"]
    together = [label.video for part in split.values() for label in part]
    assert sorted(together) == [label.video for label in labels]
    parts = [{label.group for label in part} for part in split.values()]
    assert sum(len(part) for part in parts) == len({label.group for label in labels})


@settings(max_examples=50, deadline=None)
@given(group_lists, seeds, st.sampled_from([0.0, 0.1, 0.2, 0.4]), st.sampled_from([0.0, 0.1, 0.3]))
def test_split_is_a_partition_of_groups_in_any_order(
    groups: list[str], seed: int, test_share: float, val_share: float
) -> None:
    labels = labels_for(groups)
    split = train_test(labels, test_share, val_share, seed)
    assert_partition(split, labels)
    assert split["train"]
    assert bool(split["test"]) == (test_share > 0) and bool(split["val"]) == (val_share > 0)
    shuffled = random.Random(seed).sample(labels, len(labels))
    assert ids(train_test(shuffled, test_share, val_share, seed)) == ids(split)


@settings(max_examples=50, deadline=None)
@given(group_lists, seeds, st.integers(2, 5), st.sampled_from([0.0, 0.1]))
def test_folds_test_every_video_once(groups: list[str], seed: int, folds: int, val_share: float) -> None:
    labels = labels_for(groups)
    splits = k_fold(labels, folds, seed, val_share)
    for split in splits:
        assert_partition(split, labels)
        assert split["train"] and split["test"]
    tested = sorted(label.video for split in splits for label in split["test"])
    assert tested == [label.video for label in labels]
    backwards = k_fold(labels[::-1], folds, seed, val_share)
    assert [ids(split) for split in backwards] == [ids(split) for split in splits]


@settings(max_examples=20, deadline=None)
@given(group_lists, seeds)
def test_more_random_splits_keep_the_first_ones(groups: list[str], seed: int) -> None:
    labels = labels_for(groups)
    few, many = (random_splits(labels, count, 0.2, 0.1, seed) for count in (2, 4))
    assert [ids(split) for split in many[:2]] == [ids(split) for split in few]
    for split in many:
        assert_partition(split, labels)


def test_seeds_and_repeats_differ_and_keep_their_shares_on_real_labels(shared_data: Path) -> None:
    labels = read_labels(shared_data / "labels/KoNViD-1k/KONVID_1K_metadata.csv")
    splits = random_splits(labels, 3, 0.2, 0.1, 0) + random_splits(labels, 1, 0.2, 0.1, 1)
    assert {tuple(len(part) for part in split.values()) for split in splits} == {(840, 120, 240)}
    assert len({tuple(ids(split)["test"]) for split in splits}) == 4


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 40))
def test_added_videos_move_no_other_video_but_few_where_sizes_are_exact(seed: int, added: int) -> None:
    labels = labels_for([f"group {i // 2}" for i in range(120)])
    new = [Label(f"new {i}", 0.0, group=f"new group {i}") for i in range(added)]
    few, many = train_test(labels, 0.2, 0.1, seed), train_test([*new, *labels], 0.2, 0.1, seed)
    for name, part in ids(few).items():
        assert [video for video in ids(many)[name] if not video.startswith("new")] == part
    few, many = (random_splits(each, 1, 0.2, 0.1, seed)[0] for each in (labels, [*new, *labels]))
    stayed = {label.group for label in few["test"]} & {label.group for label in many["test"]}
    assert len(stayed) >= 12 - added


def test_a_split_is_the_same_on_every_machine_and_in_every_version() -> None:
    labels = [Label(f"clip-{i}", 0.0) for i in range(12)]
    assert ids(train_test(labels, 0.2, 0.2, 0)) == {
        "train": ["clip-0", "clip-10", "clip-6", "clip-7"],
        "val": ["clip-1", "clip-11", "clip-3", "clip-4", "clip-9"],
        "test": ["clip-2", "clip-5", "clip-8"],
    }


def test_impossible_splits_are_refused() -> None:
    labels = labels_for("aabb")
    with pytest.raises(SplitError, match="4 videos in 2 content groups"):
        train_test(labels, 0.2, 0.1, 0)
    with pytest.raises(SplitError, match="at least one group each"):
        k_fold(labels, 2, 0, 0.6)
    with pytest.raises(SplitError, match="expected 2 to 2 folds"):
        k_fold(labels, 3, 0)
    with pytest.raises(SplitError, match="000 is labelled twice"):
        train_test([labels[0], *labels], 0.2, 0.0, 0)


def test_names_of_any_bytes_have_a_part() -> None:
    names = [f"{name}{i}" for name in ("a\nb", "\ud800", "\udcb2") for i in range(5)]
    labels = [Label(name, 0.0, group=name) for name in names]
    assert_partition(train_test(labels, 0.2, 0.2, 0), labels)


def test_shares_that_leave_nothing_to_train_on_are_refused() -> None:
    labels = labels_for([f"g{i}" for i in range(50)])
    with pytest.raises(SplitError, match="lower test_share or validation_share"):
        train_test(labels, 0.7, 0.3, seed=0)
    with pytest.raises(SplitError, match="lower test_share or validation_share"):
        random_splits(labels, 1, 0.7, 0.3, seed=0)
