"""The executor that a person asks for."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from config.errors import Problem
from extract.encoders.base import Encoder
from extract.executors.base import Executor
from extract.executors.driver import Driver
from extract.executors.local import LocalExecutor
from extract.executors.places import Kind
from extract.tasks import Recipe


class Where(StrEnum):
    """What carries an extraction out."""

    LOCAL = "local"
    RAY = "ray"


class InvalidShare(Problem):
    """A job cannot be shared in this way."""


def local_executor(
    recipe: Recipe, devices: Sequence[str], encoders: Mapping[str, Encoder], share: str | None = None
) -> Executor:
    """On the devices of this machine. `encoders`: the recipe's, on the device if there is only one.

    `share`: see LocalExecutor. Raises InvalidShare.
    """
    if len(devices) == 1:
        return LocalExecutor(recipe, devices[0], encoders, share)
    if share:
        raise InvalidShare(
            f"--share {share}: expected one --device for each command, not {', '.join(devices)}"
        )
    from extract.executors.devices import DeviceLauncher

    return Driver(recipe, DeviceLauncher(recipe, devices))


def ray_executor(recipe: Recipe, address: str | None, device: str) -> Executor:
    """On the machines of a Ray cluster; `device` is what was asked for. Raises RayMissing."""
    from extract.executors.ray import RayLauncher

    kind: Kind = "cuda" if device.startswith("cuda") else "cpu" if device == "cpu" else "auto"
    return Driver(recipe, RayLauncher(recipe, address, kind))
