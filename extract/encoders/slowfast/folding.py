"""The same network in the form that a GPU computes fast: equal but for rounding.

cuDNN has no fast kernel for batch normalisation of channels-last maps, nor tensor-core kernels for 3-D
convolutions of three channels: on an H200 the two took 40 of the 57 ms of a batch of SlowFast-R50.
"""

import torch
from torch import nn
from torch.nn.functional import pad
from torch.nn.utils.fusion import fuse_conv_bn_eval

_COLOURS = 3
_CHANNELS = 8
"""Tensor cores take input channels in multiples of this."""


def fast_on_gpu(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, its batch normalisations folded, its stems stacked; changed in place."""
    for module in list(model.modules()):
        _fold(module)
    for module in list(model.modules()):
        for name, part in list(module.named_children()):
            if isinstance(part, nn.Conv3d) and part.in_channels == _COLOURS:
                setattr(module, name, StackedConv(part))
    return model


def _fold(module: nn.Module) -> None:
    """Fold each BatchNorm into the convolution that stands next before it among the module's parts."""
    before: tuple[str, nn.Module] | None = None
    for name, part in list(module.named_children()):
        if isinstance(part, nn.BatchNorm3d) and before is not None and isinstance(before[1], nn.Conv3d):
            setattr(module, before[0], fuse_conv_bn_eval(before[1].eval(), part.eval()))
            setattr(module, name, nn.Identity())
        before = name, part


class StackedConv(nn.Module):
    """A 3-D convolution of few channels and temporal stride 1 as a 2-D one over neighbouring frames.

    Output frame t is a 2-D convolution of the frames t - p … t + p, stacked along the channels.
    """

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        frames, *kernel = conv.kernel_size
        if conv.stride[0] != 1 or conv.dilation != (1, 1, 1) or conv.groups != 1:
            raise ValueError(f"{conv} is strided, dilated or grouped in time")
        stacked = frames * conv.in_channels
        self.frames, self.margin = frames, int(conv.padding[0])
        self.further = -stacked % _CHANNELS
        self.conv = nn.Conv2d(
            stacked + self.further,
            conv.out_channels,
            (kernel[0], kernel[1]),
            (conv.stride[1], conv.stride[2]),
            (int(conv.padding[1]), int(conv.padding[2])),
            bias=conv.bias is not None,
        ).requires_grad_(False)
        weight = conv.weight.detach().transpose(1, 2).flatten(1, 2)  # [out, frames * in, h, w]
        self.conv.weight.copy_(pad(weight, (0, 0, 0, 0, 0, self.further)))
        if conv.bias is not None and self.conv.bias is not None:
            self.conv.bias.copy_(conv.bias)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """[N, C, T, H, W] to [N, out, T', h, w], laid out as channels_last_3d."""
        padded = pad(frames, (0, 0, 0, 0, self.margin, self.margin))
        windows = padded.unfold(2, self.frames, 1)  # [N, C, T', H, W, frames]
        count, steps = len(frames), windows.shape[2]
        stacked = windows.permute(0, 2, 5, 1, 3, 4).flatten(2, 3)  # [N, T', frames * C, H, W]
        pictures = pad(stacked, (0, 0, 0, 0, 0, self.further)).flatten(0, 1)
        maps = self.conv(pictures.contiguous(memory_format=torch.channels_last))  # [N * T', out, h, w]
        return maps.unflatten(0, (count, steps)).transpose(1, 2)  # type: ignore[no-any-return]
