"""A small SlowFast, as pytorchvideo itself builds it."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from config.schema import EncoderSettings
from extract.encoders.slowfast.network import import_slowfast

TINY_MOTION = {"model_depth": 18, "stem_dim_outs": [32, 4]}


def motion_settings(**changes: Any) -> EncoderSettings:
    """Of a small encoder of motion."""
    values = {"name": "motion", "kind": "slowfast", "weights": "random:0", "architecture": TINY_MOTION}
    values |= {"streams": ("motion",), "tail": "keep", "input_size": 32, "dtype": "float32"}
    return EncoderSettings(**{**values, **changes})


def whole_pass(model: Any, video: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The fast pathway's average over space [T, C], from both pathways over the whole video."""
    fast = ((torch.from_numpy(video).float() / 255 - 0.45) / 0.225).transpose(0, 1)[None]
    pathways = [fast[:, :, ::4], fast]
    with torch.no_grad():
        for block in model.blocks[:5]:
            pathways = block(pathways)
    found: NDArray[np.float32] = pathways[1].mean(dim=(3, 4))[0].T.numpy()
    return found


def trained_slowfast(**architecture: Any) -> nn.Module:
    """Both pathways, with weights as training leaves them: no layer is zero."""
    torch.manual_seed(1)
    build = import_slowfast().create_slowfast
    network: nn.Module = build(**architecture, slowfast_fusion_conv_kernel_size=(7, 1, 1))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            module.running_mean.uniform_(-0.1, 0.1)
    return network.eval()
