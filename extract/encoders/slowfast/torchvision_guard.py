"""Import pytorchvideo's SlowFast where torchvision cannot be imported.

pytorchvideo 0.1.5 imports `torchvision.ops.RoIAlign` for detection heads, which are never built here, and
there is no torchvision for every build of torch. Only where importing torchvision fails, that single name
is supplied for the length of pytorchvideo's own import, and then taken away again, so that no other
library takes the stand-in for the real thing.
"""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from torch import nn


def import_slowfast() -> ModuleType:
    """The module `pytorchvideo.models.slowfast`."""
    with _roi_align_supplied(), warnings.catch_warnings():
        # fvcore scripts its losses at import, which newer torch calls deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        import pytorchvideo.models.slowfast as slowfast
    module: ModuleType = slowfast
    return module


class _RoIAlign(nn.Module):
    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("RoIAlign needs torchvision, which cannot be imported here")


@contextmanager
def _roi_align_supplied() -> Iterator[None]:
    try:
        import torchvision.ops  # noqa: F401
    except (ImportError, RuntimeError):
        # RuntimeError: a torchvision that was built for another torch.
        pass
    else:
        yield
        return
    broken = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "torchvision"}
    package, operators = ModuleType("torchvision"), ModuleType("torchvision.ops")
    operators.RoIAlign = _RoIAlign  # type: ignore[attr-defined]
    package.ops = operators  # type: ignore[attr-defined]
    sys.modules.update({"torchvision": package, "torchvision.ops": operators})
    try:
        yield
    finally:
        del sys.modules["torchvision"], sys.modules["torchvision.ops"]
        sys.modules.update(broken)
