import subprocess
import sys

import numpy as np
import pytest
import torch
from small_videos import encode
from torch.nn.functional import adaptive_avg_pool3d

from config.schema import EncoderSettings
from extract.decode import decode
from extract.encoders.registry import build_encoder
from extract.encoders.slowfast import SlowFastEncoder
from extract.errors import EncoderError
from extract.torchvision_guard import import_slowfast

TINY = {"model_depth": 18, "stem_dim_outs": [16, 2]}


def slowfast_settings(**changes):
    values = {"name": "tiny-slowfast", "kind": "slowfast", "weights": "random:0", "architecture": TINY}
    return EncoderSettings(**{**values, "input_size": 64, "dtype": "float32", **changes})


@pytest.fixture(scope="module")
def chunks(tmp_path_factory):
    path = encode(tmp_path_factory.mktemp("slowfast") / "v.mp4", frames=80, rate=40)
    return list(decode(path, SlowFastEncoder(slowfast_settings()).requests))


@pytest.fixture(scope="module")
def model():
    """pytorchvideo's own model, with weights as training leaves them: no layer is zero."""
    torch.manual_seed(1)
    network = import_slowfast().create_slowfast(**TINY, slowfast_fusion_conv_kernel_size=(7, 1, 1))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            module.running_mean.uniform_(-0.1, 0.1)
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "SLOWFAST.pyth"
    torch.save({"model_state": model.state_dict()}, path)
    return path


def own_forward(model, chunks):
    clips = torch.from_numpy(np.stack([chunk.frames["clip"] for chunk in chunks]))
    fast = ((clips.float() / 255 - 0.45) / 0.225).permute(0, 4, 1, 2, 3)
    kept = {}
    hook = model.blocks[4].register_forward_hook(lambda _m, _i, out: kept.update(slow=out[0], fast=out[1]))
    slow = fast[:, :, torch.linspace(0, 31, 8).long()]
    with torch.no_grad():
        for block in model.blocks[:5]:
            slow, fast = block([slow, fast])
    hook.remove()
    return kept


def test_maps_are_those_of_pytorchvideos_own_model(chunks, model, checkpoint):
    encoder = SlowFastEncoder(slowfast_settings(weights=str(checkpoint)))
    maps = encoder.encode(chunks)
    expected = own_forward(model, chunks)
    for name, shape in (("slow", (8, 2, 2, 512)), ("fast", (32, 2, 2, 64))):
        assert maps[name].shape == (2, *shape)
        assert encoder.streams[name].shape == shape
        assert np.abs(maps[name]).max() > 0.1
        np.testing.assert_allclose(maps[name], expected[name].permute(0, 2, 3, 4, 1), atol=1e-4, rtol=1e-4)


def test_the_grid_pools_the_maps_and_streams_choose_them(chunks, model, checkpoint):
    settings = slowfast_settings(weights=str(checkpoint), grid=(4, 1, 2), streams=("slow",))
    encoder = SlowFastEncoder(settings)
    maps = encoder.encode(chunks)
    pooled = adaptive_avg_pool3d(own_forward(model, chunks)["slow"], (4, 1, 2)).permute(0, 2, 3, 4, 1)
    assert list(maps) == list(encoder.streams) == ["slow"]
    assert encoder.streams["slow"].shape == (4, 1, 2, 512)
    np.testing.assert_allclose(maps["slow"], pooled, atol=1e-4, rtol=1e-4)


def test_maps_do_not_depend_on_the_batch(chunks):
    encoder = SlowFastEncoder(slowfast_settings())
    together = encoder.encode(chunks)
    for name, maps in together.items():
        alone = np.concatenate([encoder.encode([chunk])[name] for chunk in chunks])
        np.testing.assert_allclose(maps, alone, atol=1e-4, rtol=1e-4)


def test_the_default_is_slowfast_r50_at_full_size():
    encoder = build_encoder(slowfast_settings(architecture={}, input_size=224, dtype="float16"))
    assert encoder.streams["slow"].shape == (8, 7, 7, 2048)
    assert encoder.streams["fast"].shape == (32, 7, 7, 256)
    assert encoder.requests["clip"].count == 32


def test_the_specification_tells_weights_grid_and_sampling_apart(checkpoint):
    changes = [
        {},
        {"weights": "random:1"},
        {"weights": str(checkpoint)},
        {"grid": (1, 1, 1)},
        {"streams": ("slow",)},
        {"sampling": "middle"},
    ]
    specifications = [SlowFastEncoder(slowfast_settings(**change)).specification() for change in changes]
    assert all(a != b for i, a in enumerate(specifications) for b in specifications[:i])
    assert SlowFastEncoder(slowfast_settings(name="renamed")).specification() == specifications[0]


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    class Sly:
        def __reduce__(self):
            return (print, ("this ran",))

    torch.save({"model_state": Sly()}, tmp_path / "sly.pyth")
    with pytest.raises(EncoderError, match="no torch checkpoint of plain tensors"):
        SlowFastEncoder(slowfast_settings(weights=str(tmp_path / "sly.pyth")))


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    torch.save({"model_state": {"blocks.0.weight": torch.zeros(1)}}, tmp_path / "other.pyth")
    with pytest.raises(EncoderError, match="does not fit slowfast_r50"):
        SlowFastEncoder(slowfast_settings(weights=str(tmp_path / "other.pyth")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames_per_chunk": 30}, "a multiple of 4"),
        ({"streams": ("slwo",)}, r"expected one or both of \['slow', 'fast'\]"),
        ({"weights": "/nowhere/SLOWFAST.pyth"}, "there is no /nowhere/SLOWFAST.pyth"),
        ({"weights": "facebook/slowfast"}, "not a hub id"),
        ({"architecture": {"model_deep": 18}}, "architecture: .*model_deep"),
    ],
)
def test_settings_that_cannot_work_say_why(changes, message):
    with pytest.raises(EncoderError, match=message):
        SlowFastEncoder(slowfast_settings(**changes))


def test_the_guard_leaves_no_false_torchvision_behind():
    code = (
        "import importlib.util, sys\n"
        "before = importlib.util.find_spec('torchvision') is not None\n"
        "from extract.torchvision_guard import import_slowfast\n"
        "assert import_slowfast().create_slowfast\n"
        "assert before or not [m for m in sys.modules if m.split('.')[0] == 'torchvision']\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
