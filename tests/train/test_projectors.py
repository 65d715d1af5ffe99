from pathlib import Path
from typing import Any

import pytest
import torch

from config.schema import BranchSettings, ProjectorSettings
from train.data.branches import branch_tokens, token_shape
from train.errors import TrainError
from train.model.projectors import Projector


def branch(**changes: object) -> BranchSettings:
    return BranchSettings.model_validate(
        {"encoder": "e", "stream": "s", "projector": {"kind": "mlp"}, **changes}
    )


def test_the_temporal_projector_of_the_paper_is_one_linear_layer() -> None:
    projector = Projector(ProjectorSettings(kind="mlp"), 256, 2048, 64, 1.0)
    assert projector(torch.randn(3, 256, 2048)).shape == (3, 256, 64)
    assert sum(p.numel() for p in projector.parameters()) == 2048 * 64 + 64


def test_the_spatial_projector_lets_the_tokens_of_one_frame_attend_to_each_other_only() -> None:
    torch.manual_seed(0)
    projector = Projector(ProjectorSettings(kind="vit", heads=4), 9, 16, 8, 1.0).eval()
    frames = torch.randn(2, 9, 16)
    changed = frames.clone()
    changed[0, 0] += torch.randn(16)
    before, after = projector(frames), projector(changed)
    assert before.shape == (2, 9, 8)
    assert (before[0] - after[0]).abs().amax(dim=1).min() > 1e-6
    assert torch.equal(before[1], after[1])


def vit_parameters(d: int, ratio: float, width: int) -> int:
    hidden = round(d * ratio)
    attention, norms = 4 * (d * d + d), 4 * d
    return attention + norms + 2 * d * hidden + hidden + d + d * width + width


def perceiver_parameters(d: int, ratio: float, width: int, tokens: int, layers: int) -> int:
    hidden = round(d * ratio)
    layer = 4 * d * d + 10 * d + 2 * d * hidden + hidden + d
    return tokens * d + layers * layer + 2 * d + d * width + width


@pytest.mark.parametrize(
    ("table", "output_tokens", "parameters"),
    [
        ({"kind": "mlp"}, 9, 24 * 8 + 8),
        ({"kind": "mlp", "hidden": (32,)}, 9, 24 * 32 + 32 + 32 * 8 + 8),
        ({"kind": "mlp", "tokens": 4}, 4, 9 * 24 * 4 * 8 + 4 * 8),
        ({"kind": "vit", "heads": 4, "mlp_ratio": 2.0}, 9, vit_parameters(24, 2.0, 8)),
        (
            {"kind": "perceiver", "heads": 3, "mlp_ratio": 2.0, "tokens": 5, "layers": 3},
            5,
            perceiver_parameters(24, 2.0, 8, 5, 3),
        ),
    ],
)
def test_every_kind_has_its_shape_its_size_and_gradients_everywhere(
    table: dict[str, Any], output_tokens: int, parameters: int
) -> None:
    torch.manual_seed(0)
    projector = Projector(ProjectorSettings.model_validate(table), 9, 24, 8, 1.0)
    out = projector(torch.randn(3, 9, 24))
    assert out.shape == (3, output_tokens, 8) and projector.output_tokens == output_tokens
    assert sum(p.numel() for p in projector.parameters()) == parameters
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in projector.parameters())


def test_a_perceiver_looks_at_its_own_chunk_alone_whatever_the_order_of_its_tokens() -> None:
    torch.manual_seed(0)
    settings = ProjectorSettings(kind="perceiver", heads=4, tokens=3)
    projector = Projector(settings, 9, 16, 8, 1.0).eval()
    chunks = torch.randn(2, 9, 16)
    changed = chunks.clone()
    changed[0, 0] += torch.randn(16)
    before, after = projector(chunks), projector(changed)
    assert (before[0] - after[0]).abs().amax(dim=1).min() > 1e-6
    assert torch.equal(before[1], after[1])
    assert not torch.allclose(before[0, 0], before[0, 1])
    torch.testing.assert_close(projector(chunks.flip(1)), before)


def test_the_papers_sizes_are_those_that_the_docs_state(root: Path) -> None:
    """CLIP ViT-L/14's 256 tokens of 1,024, SlowFast's 2,048 channels, a decoder of 4,096."""
    text = (root / "docs" / "models.md").read_text()
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in Projector(settings, 256, features, 4096, 1.0).parameters())
            for settings, features in (
                (ProjectorSettings(kind="vit"), 1024),
                (ProjectorSettings(kind="perceiver", tokens=64), 1024),
                (ProjectorSettings(kind="mlp", hidden=(4096,)), 1024),
                (ProjectorSettings(kind="mlp"), 2048),
            )
        ]
    assert sizes == [16_794_624, 29_462_528, 20_979_712, 8_392_704]
    assert all(f"{size:,}" in text for size in sizes)


def test_settings_that_a_kind_cannot_follow_are_refused() -> None:
    with pytest.raises(ValueError, match="a perceiver needs `tokens`"):
        ProjectorSettings(kind="perceiver")
    with pytest.raises(ValueError, match="a vit keeps its input's tokens"):
        ProjectorSettings(kind="vit", tokens=4)
    with pytest.raises(TrainError, match="a vit projector with 5 heads cannot divide 16 features"):
        Projector(ProjectorSettings(kind="vit", heads=5), 9, 16, 8, 1.0)


def test_a_joint_projector_makes_the_asked_number_of_tokens() -> None:
    settings = ProjectorSettings(kind="mlp", hidden=(32, 16), tokens=4)
    projector = Projector(settings, 2, 10, 8, 1.0)
    assert projector(torch.randn(5, 2, 10)).shape == (5, 4, 8)
    assert projector.output_tokens == 4


def test_features_are_standardised_by_the_training_statistics_and_clipped() -> None:
    torch.manual_seed(0)
    projector = Projector(ProjectorSettings(kind="mlp", standardise=True, clip=2.0), 1, 3, 8, 1.0).eval()
    rows = torch.randn(1000, 3) * torch.tensor([5.0, 0.1, 0.0]) + torch.tensor([1.0, 2.0, 7.0])
    assert projector.standardise is not None
    projector.standardise.fit(rows.split(2))
    z = projector.standardise(rows)
    assert z[:, :2].std(dim=0).allclose(torch.tensor(0.96), atol=0.05)
    assert z.abs().max() <= 2.0
    assert z[:, 2].abs().max() == 0.0


@pytest.mark.parametrize("count", [3, 100, 5000, 80_000])
def test_normal_scores_are_the_deviates_of_ranks(count: int) -> None:
    torch.manual_seed(0)
    settings = ProjectorSettings(kind="mlp", standardise="normal-scores")
    scores = Projector(settings, 1, 3, 8, 1.0).standardise
    assert scores is not None
    rows = torch.randn(count, 3)
    rows[:, 1] = rows[:, 1].exp().pow(5)  # heavy-tailed
    rows[:, 2] = 7.0
    scores.fit(rows.split(1000))
    z = scores(rows)
    assert z[:, 2].abs().max() == 0 and scores(rows + 1e9)[:, 2].abs().max() == 0
    rank = (rows[:, :2].argsort(dim=0).argsort(dim=0) / (count - 1)).clamp(1 / 258, 1 - 1 / 258)
    expected = torch.special.ndtri(rank)
    torch.testing.assert_close(z[:, :2], expected, atol=0.4, rtol=0)  # linear in the last 1/128 of a tail
    within = (rank > 0.02) & (rank < 0.98)
    torch.testing.assert_close(z[:, :2][within], expected[within], atol=0.08, rtol=0)
    beyond = scores(torch.tensor([[1e9, 1e30, 0], [-1e9, -1.0, 0]]))
    assert beyond[0, :2].tolist() == pytest.approx([2.66, 2.66], abs=0.01)
    assert beyond[1, :2].tolist() == pytest.approx([-2.66, -2.66], abs=0.01)


def test_equal_values_share_the_middle_of_their_ranks() -> None:
    scores = Projector(ProjectorSettings(kind="mlp", standardise="normal-scores"), 1, 1, 8, 1.0).standardise
    assert scores is not None
    rows = torch.tensor([0.0] * 600 + [1.0] * 400)[:, None]
    scores.fit([rows])
    found = scores(torch.tensor([[0.0], [1.0]]))[:, 0]
    expected = torch.special.ndtri(torch.tensor([0.3, 0.8]))
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


def test_noise_is_added_in_training_alone() -> None:
    projector = Projector(ProjectorSettings(kind="mlp", standardise=True, noise=0.5), 1, 3, 8, 1.0)
    row = torch.zeros(1, 1, 3)
    assert not torch.equal(projector.train()(row), projector(row))
    assert torch.equal(projector.eval()(row), projector(row))


def test_maps_are_pooled_to_the_branchs_grid() -> None:
    maps = torch.randn(2, 8, 7, 7, 5)
    pooled = branch_tokens(maps, branch(grid=(1, 1, 1)))
    assert torch.allclose(pooled[:, 0], maps.mean(dim=(1, 2, 3)), atol=1e-6)
    for grid, tokens in (((1, 2, 2), 4), ((4, 2, 2), 16), ((4, 4, 4), 64), ((4, 8, 8), 256)):
        assert branch_tokens(maps, branch(grid=grid)).shape == (2, tokens, 5)
        assert token_shape((8, 7, 7, 5), branch(grid=grid)) == (tokens, 5)


def test_without_a_grid_tokens_are_kept_and_may_be_averaged_over_time() -> None:
    block = torch.randn(6, 4, 5)
    assert torch.equal(branch_tokens(block, branch()), block)
    assert torch.allclose(branch_tokens(block, branch(over_time="mean"))[0], block.mean(dim=0))
    assert torch.equal(branch_tokens(block, branch(), 8), block[[0, 1, 2, 3, 4, 5, 5, 5]])
    with pytest.raises(TrainError, match=r"e.s has the shape \[4, 5\]: remove `grid`"):
        token_shape((4, 5), branch(grid=(1, 1, 1)))
