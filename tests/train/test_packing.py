from itertools import accumulate

import torch
from hypothesis import given
from hypothesis import strategies as st

from train.answers.chat import Answer, Slot, Text
from train.model.attention import make_plan
from train.model.packing import ROOT, Context, Layout, TokenTree, embed, lay_out
from train.model.row import Row

CPU = torch.device("cpu")
Branches = list[list[tuple[int, int]]]


@st.composite
def trees(draw: st.DrawFn) -> TokenTree:
    """Questions beside each other, or a tree that forks anywhere."""
    tree = TokenTree()
    for _ in range(draw(st.integers(1, 4))):
        after = draw(st.integers(ROOT, len(tree) - 1))
        tree.add([7] * draw(st.integers(1, 4)), after)
    return tree


def context(before: int, visual: int, tree: TokenTree) -> Context:
    return Context((tuple(range(before)), torch.randn(visual, 4)), tree)


contexts = st.lists(st.builds(context, st.integers(0, 3), st.integers(1, 5), trees()), min_size=1, max_size=4)


def brute_force_mask(row: list[Context]) -> torch.Tensor:
    """Token i attends to j iff both are one video's, j <= i, and j is in the prefix or an ancestor of i."""
    tokens = [(v, n) for v, p in enumerate(row) for n in range(p.prefix + len(p.tree))]

    def ancestors(video: int, index: int) -> set[int]:
        found, prefix = set(), row[video].prefix
        while index >= prefix:
            found.add(index)
            parent = row[video].tree.parents[index - prefix]
            index = prefix + parent if parent != ROOT else -1
        return found

    return torch.tensor(
        [
            [w == v and j <= i and (j < row[v].prefix or j in ancestors(v, i)) for w, j in tokens]
            for v, i in tokens
        ]
    )


def attended(layout: Layout, way: str, trees_only: bool = False) -> torch.Tensor:
    """What each token sees, by attention itself: values are one-hot, so that the output is the weights."""
    plan = make_plan(layout, way, layers=2)  # type: ignore[arg-type]
    size = layout.tokens
    torch.manual_seed(0)
    query, key = torch.randn(1, 4, size, 8), torch.randn(1, 2, size, 8)
    values = torch.eye(size).expand(1, 2, size, size)
    attend = plan.trees_only if trees_only else plan.attend
    weights = attend(query, key, values, 0.3)
    keys = key.repeat_interleave(2, dim=1)
    return torch.stack([weights[0], 0.3 * query[0] @ keys[0].transpose(1, 2)])


@given(contexts)
def test_every_way_attends_as_the_definition_says(row: list[Context]) -> None:
    layout = lay_out(row, CPU)
    mask = brute_force_mask(row)
    for way in ("segments", "dense"):
        weights, scores = attended(layout, way)
        expected = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
        torch.testing.assert_close(weights, expected, atol=1e-6, rtol=1e-5)


@given(contexts)
def test_the_last_layer_attends_in_the_trees_alone(row: list[Context]) -> None:
    layout = lay_out(row, CPU)
    whole, only = attended(layout, "segments")[0], attended(layout, "segments", trees_only=True)[0]
    for segment in layout.segments:
        end = segment.start + segment.length
        torch.testing.assert_close(whole[:, segment.row(0) : end], only[:, segment.row(0) : end])
        assert not only[:, segment.start : segment.row(0)].any()


@given(contexts)
def test_positions_count_the_prefix_and_the_ancestors(row: list[Context]) -> None:
    layout = lay_out(row, CPU)
    assert layout.positions[0].tolist() == (brute_force_mask(row).sum(dim=1) - 1).tolist()
    assert [s.start for s in layout.segments] == [0, *accumulate(s.length for s in layout.segments[:-1])]


@given(contexts)
def test_the_row_holds_text_visual_tokens_and_tree_of_each_video_in_turn(row: list[Context]) -> None:
    table = torch.nn.Embedding(10, 4)
    found = embed(row, table)
    assert found.shape == (1, lay_out(row, CPU).tokens, 4)
    for item, segment in zip(row, lay_out(row, CPU).segments, strict=True):
        before, visual = item.parts
        start = segment.start + len(before)
        assert torch.equal(found[0, start : segment.row(0)], visual)
        assert torch.equal(found[0, segment.row(0)], table.weight[7])
        assert torch.equal(found[0, segment.start : start], table.weight[: len(before)])


def test_a_tree_finds_the_children_that_continue_a_token() -> None:
    tree = TokenTree()
    end = tree.add([1, 2])
    left, right = tree.add([5], end), tree.add([6, 5], end)
    assert (left, right) == (2, 4) and tree.child(end, 5) == left and tree.child(end, 6) == 3
    assert tree.child(3, 5) == right and tree.child(end, 9) is None and tree.child(ROOT, 1) == 0
    assert tree.depths() == [0, 1, 2, 2, 3]


def test_an_answer_directly_behind_a_medium_is_read_in_its_context() -> None:
    row = Row([torch.zeros(3, 4)])
    places = row.add([Text((1, 2)), Slot(0), Answer((5, 6), None)])
    assert row.contexts[0].read and places == [(0, 4), (0, 5), (0, 6)]
    places = row.add([Text((1, 2)), Slot(0), Text((9,)), Answer((5,), None)])
    assert places == [(0, 7), (0, 8)]
