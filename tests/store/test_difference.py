"""In what two feature sets differ."""

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from stored_videos import write

from store.care.difference import changes, difference
from store.features import FeatureStore

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(JSON, JSON)
def test_two_values_differ_in_words_exactly_where_they_differ(a: object, b: object) -> None:
    assert changes(a, a) == []
    assert bool(changes({"x": a}, {"x": b})) == (_canonical(a) != _canonical(b))


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def test_differences_are_told_in_readable_lines() -> None:
    a = {"layer": 23, "weights": "clip", "input": {"size": 224, "mean": [0.1, 0.2]}, "old": "1"}
    b = {"layer": 22, "weights": "clip", "input": {"size": 224, "mean": [0.1, 0.3]}, "new": None}
    assert changes(a, b) == [
        "input.mean[1]: 0.2 → 0.3",
        "layer: 23 → 22",
        "new: absent → null",
        'old: "1" → absent',
    ]


def test_two_sets_differ_in_videos_and_subset_hash(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    a, b = (store.feature_set("demo", "random", {"seed": seed}) for seed in (0, 1))
    write(a, ["one", "two"])
    write(b, ["two", "three", "four"])
    found = difference(a, b)
    assert found.specification == ["seed: 0 → 1"]
    assert (found.only_a, found.only_b, found.common) == (["one"], ["four", "three"], 1)
    assert (found.subset_hash_a, found.subset_hash_b) == (a.subset_hash(), b.subset_hash())
