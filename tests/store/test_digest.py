"""What identifies the labels of a run, and how a change is said."""

from dataclasses import replace

import pytest

from store.labels.dataset import label_changes, label_records, labels_digest
from store.labels.files import Label

SPLIT = {
    "train": [Label("a", 1.0, group="x"), Label("b", 2.5, group="y")],
    "test": [Label("c\udcb2", 0.1 + 0.2)],
}


def test_digest_depends_on_what_is_said_and_not_on_the_order() -> None:
    digest = labels_digest(label_records(SPLIT))
    assert digest == labels_digest(label_records({"test": SPLIT["test"], "train": SPLIT["train"][::-1]}))
    assert digest == "4d4dfdae82de6c13"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (replace(SPLIT["train"][0], mos=1.5), "1 of 3 opinion scores differ: a: 1 → 1.5"),
        (replace(SPLIT["train"][0], mos=1.00000002), "1 of 3 opinion scores differ: a: 1 → 1.00000002"),
        (replace(SPLIT["train"][0], group="z"), "1 videos are in another content group: a: x → z"),
        (replace(SPLIT["train"][0], video="d"), "1 videos are new: d"),
    ],
)
def test_every_change_has_another_digest_and_is_said(changed: Label, said: str) -> None:
    before = label_records(SPLIT)
    now = label_records(SPLIT | {"train": [changed, SPLIT["train"][1]]})
    assert labels_digest(now) != labels_digest(before)
    assert said in label_changes(before, now)


def test_many_changes_are_not_all_listed() -> None:
    before = {f"v{i}": (1.0, "train", None) for i in range(1000)}
    (line,) = label_changes(before, dict.fromkeys(before, (2.0, "train", None)))
    assert (
        line == "1000 of 1000 opinion scores differ: " + ", ".join(f"v{i}: 1 → 2" for i in range(5)) + ", …"
    )
