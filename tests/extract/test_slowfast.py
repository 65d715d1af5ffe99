import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import torch
from seen_chunks import random_chunks, stacked
from tiny_slowfast import trained_slowfast
from torch import nn
from torch.nn.functional import adaptive_avg_pool3d

from config.schema import EncoderSettings
from extract.encoders.registry import build_encoder
from extract.encoders.slowfast.encoders import SlowFastEncoder
from extract.encoders.slowfast.folding import StackedConv, fast_on_gpu
from extract.encoders.slowfast.network import load_blocks, run_pathways
from extract.errors import EncoderError

TINY = {"model_depth": 18, "stem_dim_outs": [16, 2]}


def slowfast_settings(**changes):
    values = {"name": "tiny-slowfast", "kind": "slowfast", "weights": "random:0", "architecture": TINY}
    return EncoderSettings(**{**values, "input_size": 64, "dtype": "float32", **changes})


@pytest.fixture(scope="module")
def chunks():
    return random_chunks(SlowFastEncoder(slowfast_settings()), 2)


@pytest.fixture(scope="module")
def model():
    """pytorchvideo's own model, with weights as training leaves them: no layer is zero."""
    return trained_slowfast(**TINY)


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "SLOWFAST.pyth"
    torch.save({"model_state": model.state_dict()}, path)
    return path


def own_forward(model, chunks):
    """Maps [N, C, t, h, w] before the head, as the model's own forward pass makes them."""
    clips = torch.from_numpy(np.stack([chunk.frames["frames"] for chunk in chunks]))
    fast = ((clips.float() / 255 - 0.45) / 0.225).transpose(1, 2)
    kept = {}
    hook = model.blocks[4].register_forward_hook(lambda _m, _i, out: kept.update(slow=out[0], fast=out[1]))
    # The head's pooling is made for 224 x 224; only what comes before it is looked at.
    with torch.no_grad(), suppress(RuntimeError):
        model([fast[:, :, torch.linspace(0, 31, 8).long()], fast])
    hook.remove()
    return kept


def test_the_pooled_vector_is_both_maps_mean(chunks, checkpoint):
    encoder = SlowFastEncoder(
        slowfast_settings(weights=str(checkpoint), streams=("pooled", "slow", "fast"), grid=(1, 1, 1))
    )
    features = encoder.encode(chunks)
    maps = [stacked(features, name).reshape(2, -1) for name in ("slow", "fast")]
    pooled = stacked(features, "pooled")
    assert pooled.shape == (2, 512 + 64) and encoder.streams["pooled"].shape == (576,)
    np.testing.assert_allclose(pooled, np.concatenate(maps, axis=1), rtol=1e-5, atol=1e-6)
    assert list(SlowFastEncoder(slowfast_settings()).streams) == ["slow", "fast"]


def test_maps_are_those_of_pytorchvideos_own_model(chunks, model, checkpoint):
    encoder = SlowFastEncoder(slowfast_settings(weights=str(checkpoint)))
    features = encoder.encode(chunks)
    expected = own_forward(model, chunks)
    for name, shape in (("slow", (8, 2, 2, 512)), ("fast", (32, 2, 2, 64))):
        maps = stacked(features, name)
        assert maps.shape == (2, *shape)
        assert encoder.streams[name].shape == shape
        assert np.abs(maps).max() > 0.1
        np.testing.assert_allclose(maps, expected[name].permute(0, 2, 3, 4, 1), atol=1e-4, rtol=1e-4)


def test_the_grid_pools_the_maps_and_streams_choose_them(chunks, model, checkpoint):
    settings = slowfast_settings(weights=str(checkpoint), grid=(4, 1, 2), streams=("slow",))
    encoder = SlowFastEncoder(settings)
    (first, second) = encoder.encode(chunks)
    pooled = adaptive_avg_pool3d(own_forward(model, chunks)["slow"], (4, 1, 2)).permute(0, 2, 3, 4, 1)
    assert list(first) == list(encoder.streams) == ["slow"]
    assert encoder.streams["slow"].shape == (4, 1, 2, 512)
    np.testing.assert_allclose(stacked([first, second], "slow"), pooled, atol=1e-4, rtol=1e-4)


def test_the_form_for_gpus_gives_the_same_maps_and_has_no_batch_normalisation_left():
    blocks = load_blocks(slowfast_settings()).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for module in blocks.modules():
        if isinstance(module, nn.BatchNorm3d):
            for values in (module.running_mean, module.bias, module.running_var, module.weight):
                values.data.copy_(0.5 + torch.rand(values.shape, generator=generator))
    frames = torch.randn(2, 3, 8, 64, 64, generator=generator)
    slow = torch.tensor([0, 4])
    with torch.inference_mode():
        expected = run_pathways(blocks, frames, slow)
        fast = fast_on_gpu(blocks)
        maps = run_pathways(fast, frames.contiguous(memory_format=torch.channels_last_3d), slow)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in fast.modules())
    assert sum(isinstance(module, StackedConv) for module in fast.modules()) == 2
    for name, map_ in maps.items():
        scale = expected[name].abs().max()
        torch.testing.assert_close(map_ / scale, expected[name] / scale, atol=1e-5, rtol=0)


def test_the_default_is_slowfast_r50_at_full_size():
    encoder = build_encoder(slowfast_settings(architecture={}, input_size=None, dtype="float16"))
    assert encoder.streams["slow"].shape == (8, 7, 7, 2048)
    assert encoder.streams["fast"].shape == (32, 7, 7, 256)
    request = encoder.view.requests["frames"]
    assert (request.count, request.rule, request.size) == (32, "uniform", (224, 224))


@pytest.mark.slow
def test_the_specification_tells_weights_grid_and_sampling_apart(checkpoint):
    changes = [
        {},
        {"weights": "random:1"},
        {"weights": str(checkpoint)},
        {"grid": (1, 1, 1)},
        {"streams": ("slow",)},
        {"sampling": "middle"},
        {"frames_per_chunk": 16},
        {"streams": ("motion",), "tail": "keep"},
    ]
    specifications = [build_encoder(slowfast_settings(**change)).specification() for change in changes]
    assert all(a != b for i, a in enumerate(specifications) for b in specifications[:i])
    assert SlowFastEncoder(slowfast_settings(name="renamed", batch=2)).specification() == specifications[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames_per_chunk": 30}, "a multiple of 4"),
        ({"streams": ("slwo",)}, r"expected one or more of \['slow', 'fast', 'pooled'\]"),
        ({"weights": "/nowhere/SLOWFAST.pyth"}, "there is no /nowhere/SLOWFAST.pyth"),
        ({"weights": "facebook/slowfast"}, "not a hub id"),
        ({"architecture": {"model_deep": 18}}, "architecture: .*model_deep"),
        ({"grid": (2, 2)}, r"grid is \[2, 2\]: expected 3 positive numbers, \(time, height, width\)"),
    ],
)
def test_settings_that_cannot_work_say_why(changes, message):
    with pytest.raises(EncoderError, match=message):
        build_encoder(slowfast_settings(**changes))


@pytest.mark.slow
def test_the_guard_leaves_no_false_torchvision_behind():
    code = (
        "import importlib.util, sys\n"
        "before = importlib.util.find_spec('torchvision') is not None\n"
        "from extract.encoders.slowfast.network import import_slowfast\n"
        "assert import_slowfast().create_slowfast\n"
        "assert before or not [m for m in sys.modules if m.split('.')[0] == 'torchvision']\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
