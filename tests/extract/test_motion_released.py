"""VQA²'s motion as its authors' code computes it: their numbers, their cut, their checkpoint's parts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from seen_chunks import decoded_chunks
from small_videos import encode
from tiny_slowfast import motion_settings, trained_slowfast, whole_pass

from extract.encoders.registry import build_encoder
from extract.encoders.slowfast.network import import_slowfast
from extract.errors import EncoderError


@pytest.fixture(scope="module")
def reference(shared_data: Path) -> dict[str, torch.Tensor]:
    folder = shared_data / "reference" / "vqa2"
    if not folder.is_dir():
        pytest.skip("the authors' numbers (../shared/data/reference/vqa2) are not on this machine")
    return load_file(folder / "B1_tokens.safetensors")


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """SlowFast-R50 with the weights of the reference's recipe R."""
    network = import_slowfast().create_slowfast(model_depth=50, slowfast_fusion_conv_kernel_size=(7, 1, 1))
    state, generator = network.state_dict(), torch.Generator().manual_seed(1)
    for name in sorted(state):
        tensor = state[name]
        if name.endswith("num_batches_tracked"):
            continue
        if tensor.dim() > 1:
            drawn = torch.randn(tensor.shape, generator=generator) * (1 / tensor[0].numel()) ** 0.5
        elif name.endswith(("running_var", "weight")):
            drawn = 0.5 + 0.5 * torch.rand(tensor.shape, generator=generator)
        else:
            drawn = 0.1 * torch.randn(tensor.shape, generator=generator)
        state[name] = drawn
    path = tmp_path_factory.mktemp("weights") / "recipe.pyth"
    torch.save({"model_state": state}, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("frames", "side"), [(16, 96), (64, 64)])
def test_motion_is_the_authors_from_the_fast_pathway_alone(reference, weights, frames, side) -> None:
    encoder = build_encoder(motion_settings(weights=str(weights), architecture={}, input_size=side))
    clip = torch.randn(frames, 3, side, side, generator=torch.Generator().manual_seed(50 + frames))
    with torch.inference_mode():
        found = encoder.forward(clip[None])["motion"][0]
    expected = reference[f"motion.T{frames}.fast_without_position"]
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    assert sum(parameter.numel() for parameter in encoder.model.parameters()) == 514_152


@pytest.mark.parametrize(
    "frames", [92, 91, *(pytest.param(n, marks=pytest.mark.slow) for n in (90, 89, 41)), 3]
)
def test_frames_that_do_not_fill_a_multiple_of_four_are_not_seen(tmp_path, frames) -> None:
    model = trained_slowfast(**motion_settings().architecture)
    torch.save({"model_state": model.state_dict()}, tmp_path / "SLOWFAST.pyth")
    encoder = build_encoder(motion_settings(weights=str(tmp_path / "SLOWFAST.pyth"), frames_multiple=4))
    path = encode(tmp_path / "v.mp4", frames=frames, rate=10, size=(32, 32))
    whole = decoded_chunks(path, build_encoder(motion_settings()))
    video = np.concatenate([c.frames["frames"][c.before : len(c.frames["frames"]) - c.after] for c in whole])
    assert len(video) == frames
    seen = frames - frames % 4 if frames >= 4 else frames
    found = np.concatenate([each["motion"] for each in encoder.encode(decoded_chunks(path, encoder))])
    assert len(found) == seen
    np.testing.assert_allclose(found, whole_pass(model, video[:seen]), atol=1e-5, rtol=1e-5)


def test_the_cut_is_in_the_key_where_it_is_asked_for_and_of_motion_alone() -> None:
    usual = build_encoder(motion_settings()).specification()
    cut = build_encoder(motion_settings(frames_multiple=4)).specification()
    assert cut == {**usual, "frames_multiple": 4}
    with pytest.raises(ValueError, match="frames_multiple is for kind 'slowfast'"):
        motion_settings(streams=("slow",), frames_multiple=4)


def test_a_checkpoint_without_the_head_is_enough_and_one_without_a_stage_is_not(tmp_path) -> None:
    state = trained_slowfast(**motion_settings().architecture).state_dict()
    before = {name: tensor for name, tensor in state.items() if not name.startswith(("blocks.5", "blocks.6"))}
    assert len(before) < len(state)
    specifications = []
    for name, tensors in (("whole", state), ("headless", before)):
        torch.save({"model_state": tensors}, tmp_path / name)
        specifications.append(build_encoder(motion_settings(weights=str(tmp_path / name))).specification())
    assert specifications[0] == specifications[1]
    torch.save({n: t for n, t in before.items() if not n.startswith("blocks.4")}, tmp_path / "lacking")
    with pytest.raises(EncoderError, match="does not fit slowfast_r50"):
        build_encoder(motion_settings(weights=str(tmp_path / "lacking")))
