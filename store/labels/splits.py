"""Seeded splits of labelled videos that never divide a content group, and that additions do not redraw.

A hash of the seed and the group's name places every group between 0 and 1.

`train_test`, for a dataset that grows, gives a part what lies within its share. So a group's part depends on
nothing but its name, the seed and the shares: videos that are added or dropped move no other video, and no
video that was learnt from is ever tested. The price is that sizes are approximate: 20 % of 1,200 videos are
240 ± 14. Only where a part would be empty does it take the nearest group.

`k_fold` and `random_splits`, for figures beside published ones, cut the same order by number: sizes are
exact, and an added group moves at most one other across each cut.

Shares are shares of the groups, which are the videos where these have no group.
"""

from bisect import bisect_left
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate, pairwise

from store.labels.errors import SplitError, shown
from store.labels.files import Label

Split = dict[str, list[Label]]
"""train, val and test (each sorted by video) → labels."""


def place(name: str, seed: str) -> float:
    """Where a name lies between 0 and 1: it follows from the two texts alone, on every machine."""
    digest = blake2b(f"{seed}\0{name}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def train_test(labels: Sequence[Label], test_share: float, val_share: float, seed: int) -> Split:
    """One random split; `val_share` is, like `test_share`, a share of all groups.

    A share of 0 gives an empty part, any other at least one group. Raises SplitError where there are too few
    groups for that.
    """
    test, val, train = _divided(labels, _shares(test_share, val_share), str(seed), exact=False)
    return {"train": train, "val": val, "test": test}


def k_fold(labels: Sequence[Label], folds: int, seed: int, val_share: float = 0.0) -> list[Split]:
    """`folds` splits whose test parts together are all labels, each once.

    `val_share` (a share of all groups) is taken from each fold's training part. Raises SplitError where
    there are fewer groups than folds.
    """
    total = len({_group(label) for label in labels})
    if not 2 <= folds <= total:
        raise SplitError(
            f"{folds} folds of {len(labels)} videos in {total} content groups: expected 2 to {total} folds"
        )
    return fold_splits(_divided(labels, [1 / folds] * folds, str(seed)), seed, val_share)


def fold_splits(parts: Sequence[list[Label]], seed: int, val_share: float = 0.0) -> list[Split]:
    """For each of at least two folds, the split that tests on it; validation as in `k_fold`."""
    folds = len(parts)
    splits: list[Split] = []
    for number, test in enumerate(parts):
        rest = [label for part in parts if part is not test for label in part]
        of_rest = val_share * folds / (folds - 1)
        val, train = _divided(rest, [of_rest, 1 - of_rest], f"{seed}, validation of fold {number}")
        splits.append({"train": train, "val": val, "test": sorted(test, key=lambda label: label.video)})
    return splits


def random_splits(
    labels: Sequence[Label], repeats: int, test_share: float, val_share: float, seed: int
) -> list[Split]:
    """`repeats` independent splits; asking for more keeps the first ones as they were."""
    shares = _shares(test_share, val_share)
    divided = [_divided(labels, shares, f"{seed}, split {number}") for number in range(repeats)]
    return [{"train": train, "val": val, "test": test} for test, val, train in divided]


def _shares(test: float, val: float) -> list[float]:
    # Rounded, as 1 - 0.7 - 0.3 leaves 5.6e-17, which is no share for training.
    return [test, val, round(1 - test - val, 9)]


def _divided(
    labels: Sequence[Label], shares: Sequence[float], seed: str, exact: bool = True
) -> list[list[Label]]:
    """The labels in as many parts as there are shares; each share above 0 gets at least one group."""
    labels = sorted(labels, key=lambda label: label.video)
    for one, other in pairwise(labels):
        if one.video == other.video:
            raise SplitError(f"video {shown(one.video)} is labelled twice: expected each video once")
    places = {group: place(group, seed) for group in {_group(label) for label in labels}}
    order = sorted(places, key=lambda group: (places[group], group))
    least = [1 if share > 0 else 0 for share in shares]
    if shares[-1] <= 0 or sum(least) > len(order):
        raise SplitError(
            f"{len(labels)} videos in {len(order)} content groups cannot be split by the shares"
            f" {', '.join(f'{share:.3g}' for share in shares)}, at least one group each: lower test_share or"
            " validation_share"
        )
    ends, start = list[int](), 0
    for number, end in enumerate(accumulate(shares)):
        if exact or number == len(shares) - 1:
            within = round(end * len(order))
        else:
            within = bisect_left(order, end, key=places.__getitem__)
        start = min(max(within, start + least[number]), len(order) - sum(least[number + 1 :]))
        ends.append(start)
    part_of = {group: bisect_left(ends, rank + 1) for rank, group in enumerate(order)}
    parts: list[list[Label]] = [[] for _ in shares]
    for label in labels:
        parts[part_of[_group(label)]].append(label)
    return parts


def _group(label: Label) -> str:
    return label.video if label.group is None else label.group
