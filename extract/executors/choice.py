"""The executor that a person asks for."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from extract.encoders.base import Encoder
from extract.executors.base import Executor
from extract.executors.local import LocalExecutor
from extract.tasks import Recipe


class Where(StrEnum):
    """What carries an extraction out."""

    LOCAL = "local"
    RAY = "ray"


def local_executor(recipe: Recipe, devices: Sequence[str], encoders: Mapping[str, Encoder]) -> Executor:
    """On the devices of this machine. `encoders`: the recipe's, on the device if there is only one."""
    if len(devices) == 1:
        return LocalExecutor(recipe, devices[0], encoders)
    from extract.executors.devices import DevicesExecutor

    return DevicesExecutor(recipe, devices)


def ray_executor(recipe: Recipe, address: str | None, device: str) -> Executor:
    """On the machines of a Ray cluster; `device` is what was asked for. Raises RayMissing."""
    from extract.executors.ray import RayExecutor

    if device == "cpu":
        return RayExecutor(recipe, address, "cpu")
    return RayExecutor(recipe, address, "cuda" if device.startswith("cuda") else "auto")
