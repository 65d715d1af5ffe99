"""A small SlowFast, as pytorchvideo itself builds it."""

from typing import Any

import torch
from torch import nn

from extract.encoders.slowfast.network import import_slowfast


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
