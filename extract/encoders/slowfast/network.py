"""pytorchvideo's SlowFast: built up to its head, with weights, and the passes through it."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import nn

from config.schema import EncoderSettings
from extract.encoders.weights import checkpoint, random_weights
from extract.errors import EncoderError

R50: dict[str, Any] = {"model_depth": 50, "slowfast_fusion_conv_kernel_size": (7, 1, 1)}
"""The architecture, where the settings do not override it."""
_BLOCKS = 5  # the stem and four stages; what follows pools and classifies
_HEAD = ("5", "6")
_FAST = 1


def import_slowfast() -> ModuleType:
    """The module `pytorchvideo.models.slowfast`, even where torchvision cannot be imported."""
    with _roi_align_supplied(), warnings.catch_warnings():
        # fvcore scripts its losses at import, which newer torch calls deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        import pytorchvideo.models.slowfast as slowfast
    module: ModuleType = slowfast
    return module


@contextmanager
def _roi_align_supplied() -> Iterator[None]:
    """pytorchvideo imports `torchvision.ops.RoIAlign`, for detection heads which are never built here.

    There is no torchvision for every build of torch. Where importing it fails, that single name is there for
    the length of pytorchvideo's own import alone, so that no other library takes it for the real thing.
    """
    try:
        import torchvision.ops  # noqa: F401
    except (ImportError, RuntimeError):  # RuntimeError: a torchvision that was built for another torch
        broken = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "torchvision"}
        package, operators = ModuleType("torchvision"), ModuleType("torchvision.ops")
        operators.RoIAlign = None  # type: ignore[attr-defined]
        package.ops = operators  # type: ignore[attr-defined]
        sys.modules.update({"torchvision": package, "torchvision.ops": operators})
        try:
            yield
        finally:
            del sys.modules["torchvision"], sys.modules["torchvision.ops"]
            sys.modules.update(broken)
    else:
        yield


def load_blocks(settings: EncoderSettings) -> nn.Module:
    """The stem and the stages of both pathways, with weights. Raises EncoderError."""
    model = random_weights(settings, lambda: _build(settings))
    if model is None:
        model = _build(settings)
        try:
            model.blocks[:_BLOCKS].load_state_dict(_before_the_head(checkpoint(settings)))  # type: ignore[index, union-attr]
        except RuntimeError as error:
            raise EncoderError(
                f"encoders.{settings.name}.weights: {settings.weights} does not fit slowfast_r50: {error}"
            ) from None
    blocks: nn.Module = model.blocks[:_BLOCKS]  # type: ignore[index, assignment]
    return blocks


def _before_the_head(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of the stem and the stages, all that is run; a checkpoint may lack the head."""
    names = [(name, name.removeprefix("blocks.")) for name in state]
    return {own: state[name] for name, own in names if own.partition(".")[0] not in _HEAD}


def _build(settings: EncoderSettings) -> nn.Module:
    try:
        model: nn.Module = import_slowfast().create_slowfast(**{**R50, **settings.architecture})
    except (TypeError, AssertionError) as error:
        raise EncoderError(f"encoders.{settings.name}.architecture: {error}") from None
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            # Some are numpy's numbers, which torch.compile takes for data.
            module.stride = tuple(int(step) for step in module.stride)
    return model


def run_pathways(blocks: nn.Module, fast: torch.Tensor, slow: torch.Tensor) -> dict[str, torch.Tensor]:
    """Maps [N, C, t, h, w] of both pathways; `slow`: the frames that the slow one sees."""
    pathways = [fast.index_select(2, slow), fast]
    for block in blocks.children():
        pathways = block(pathways)
    return {"slow": pathways[0], "fast": pathways[1]}


def fast_pathway(blocks: nn.Module) -> nn.Module:
    """The fast pathway alone: [N, 3, T, H, W] to [N, C, T, h, w]."""
    stages: list[Any] = list(blocks.children())
    return nn.Sequential(*(stage.multipathway_blocks[_FAST] for stage in stages))


def temporal_reach(pathway: nn.Module) -> int:
    """Frames on either side that an output frame depends on, at most: the sum over all layers.

    The padding with zeros at the end of a clip spoils no more frames than these.
    """
    reach = 0
    for module in pathway.modules():
        if isinstance(module, nn.Conv3d | nn.MaxPool3d):
            kernel, dilation = _in_time(module.kernel_size), _in_time(module.dilation)
            reach += (kernel - 1) // 2 * dilation
    return reach


def _in_time(sizes: int | tuple[int, ...]) -> int:
    return sizes if isinstance(sizes, int) else sizes[0]
