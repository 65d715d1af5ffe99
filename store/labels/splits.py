"""Seeded splits of labelled videos that never divide a content group.

Every function is pure: the same labels, groups and seed give the same split, in whatever order they come.
Shares are shares of the groups, which are shares of the videos where every video is its own group.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from sklearn.model_selection import GroupKFold, GroupShuffleSplit

from store.labels.errors import SplitError
from store.labels.files import Label

Split = dict[str, list[Label]]
"""train, val and test (each sorted by video) → labels."""


def train_test(
    labels: Sequence[Label], groups: Sequence[str], test_share: float, val_share: float, seed: int
) -> Split:
    """One random split; `val_share` is, like `test_share`, a share of all groups.

    A share of 0 gives an empty part, any other at least one group. Raises SplitError where nothing would
    be left to train on.
    """
    labels, groups = _sorted(labels, groups)
    total = len(set(groups))
    held_out = {"test": _group_count(test_share, total), "val": _group_count(val_share, total)}
    if sum(held_out.values()) >= total:
        raise SplitError(
            f"{len(labels)} videos in {total} content groups cannot give {held_out['test']} groups to test,"
            f" {held_out['val']} to validation and any to training: lower test_share or validation_share"
        )
    rest, test = _take_groups(labels, groups, held_out["test"], seed)
    group_of = {label.video: group for label, group in zip(labels, groups, strict=True)}
    train, val = _take_groups(rest, [group_of[label.video] for label in rest], held_out["val"], seed)
    return {"train": train, "val": val, "test": test}


def k_fold(
    labels: Sequence[Label], groups: Sequence[str], folds: int, seed: int, val_share: float = 0.0
) -> list[Split]:
    """`folds` splits whose test parts together are all labels, each once.

    `val_share` (a share of all groups) is taken from each fold's training part. Raises SplitError where
    there are fewer groups than folds.
    """
    labels, groups = _sorted(labels, groups)
    total = len(set(groups))
    if folds < 2 or folds > total:
        raise SplitError(
            f"{folds} folds of {len(labels)} videos in {total} content groups: expected 2 to {total} folds"
        )
    splitter = GroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    splits: list[Split] = []
    for rest, test in splitter.split(np.zeros(len(labels)), groups=groups):
        rest_groups = [groups[i] for i in rest]
        count = _group_count(val_share, total)
        if count >= len(set(rest_groups)):
            raise SplitError(f"validation_share {val_share} of {total} groups leaves no group to train on")
        train, val = _take_groups([labels[i] for i in rest], rest_groups, count, seed)
        splits.append({"train": train, "val": val, "test": [labels[i] for i in test]})
    return splits


def random_splits(
    labels: Sequence[Label],
    groups: Sequence[str],
    repeats: int,
    test_share: float,
    val_share: float,
    seed: int,
) -> list[Split]:
    """`repeats` independent splits; asking for more keeps the first ones as they were."""
    seeds = np.random.SeedSequence(seed).generate_state(repeats)  # [repeats] uint32
    return [train_test(labels, groups, test_share, val_share, int(each)) for each in seeds]


def _sorted(labels: Sequence[Label], groups: Sequence[str]) -> tuple[list[Label], list[str]]:
    if len(labels) != len(groups):
        raise SplitError(f"{len(labels)} labels, but {len(groups)} groups: expected one for each label")
    pairs = sorted(zip(labels, groups, strict=True), key=lambda pair: pair[0].video)
    for (one, _), (other, _) in pairwise(pairs):
        if one.video == other.video:
            raise SplitError(f"video {one.video} is labelled twice: expected each video once")
    return [label for label, _ in pairs], [group for _, group in pairs]


def _group_count(share: float, total: int) -> int:
    return max(1, round(share * total)) if share > 0 else 0


def _take_groups(
    labels: Sequence[Label], groups: Sequence[str], count: int, seed: int
) -> tuple[list[Label], list[Label]]:
    """The labels without `count` random groups, and those of the groups."""
    if count == 0:
        return list(labels), []
    splitter = GroupShuffleSplit(n_splits=1, test_size=count, random_state=seed)
    rest, taken = next(splitter.split(np.zeros(len(labels)), groups=groups))
    return [labels[i] for i in rest], [labels[i] for i in taken]
