"""The devices of one machine, such as cuda:0 and cuda:1: their names, and a process for each."""

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait

import torch

from config.errors import Problem
from config.interruption import stops_on_sigterm
from config.processes import served
from extract.executors.base import Launcher, Process
from extract.executors.worker import launched
from extract.tasks import Recipe

# Long enough to write the features of a minute to a slow disk.
_STOP_SECONDS = 60.0


class NoSuchDevice(Problem):
    """A device that this machine does not have."""


def device_names(text: str) -> list[str]:
    """`auto`, `cpu`, `cuda` (every GPU; with `auto`, if there is one) or a list such as `cuda:0,cuda:1`.

    Raises NoSuchDevice.
    """
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if text == "auto":
        return gpus or ["cpu"]
    if text == "cuda" and gpus:
        return gpus
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in ("cpu", *gpus):
            raise NoSuchDevice(
                f"--device {text}: there is no {name!r} here; expected auto, cuda, or some of"
                f" {', '.join(['cpu', *gpus])}"
            )
    return names


class DeviceLauncher(Launcher):
    """A process for each device. The recipe's decode workers are for each of them, too."""

    no_place = "give another --device"

    def __init__(self, recipe: Recipe, devices: Sequence[str]) -> None:
        self._recipe = recipe
        count: Counter[str] = Counter()
        self._devices: dict[Hashable, str] = {}
        for device in devices:
            count[device] += 1
            self._devices[device if count[device] == 1 else f"{device} ({count[device]})"] = device

    def places(self) -> Sequence[Hashable]:
        return list(self._devices)

    def launch(self, place: Hashable, job: str) -> "DeviceProcess":
        device = self._devices[place]
        threads = torch.get_num_threads()
        if device == "cpu":
            threads = max(1, threads // list(self._devices.values()).count("cpu"))
        return DeviceProcess(self._recipe, device, job, str(place), threads)

    def close(self) -> None:
        """Nothing: the processes are the driver's to stop."""


class DeviceProcess(Process):
    """A process of this machine."""

    def __init__(self, *args: object) -> None:
        """`args`: those of `_extract`, but the first."""
        context = served(__name__)
        self._connection, its = context.Pipe(duplex=False)
        # Not daemonic: it has decode workers of its own.
        self._process = context.Process(target=_extract, args=(its, *args))
        self._process.start()
        its.close()

    def ended(self) -> bool:
        if self.problem is None and self._connection.poll():
            with suppress(EOFError, OSError):
                self.problem = self._connection.recv()
            self._process.join(_STOP_SECONDS)
        status = self._process.exitcode
        if status:
            self.death = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return self.problem is not None or status is not None

    def stop(self) -> None:
        self._process.terminate()

    def join(self) -> None:
        self._process.join(_STOP_SECONDS)
        self._process.kill()
        self._process.join()
        self._connection.close()


def _extract(
    connection: Connection, recipe: Recipe, device: str, job: str, worker: str, threads: int
) -> None:
    """What a process does. Ctrl-C reaches it through the process that launched it, whose death ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    with stops_on_sigterm():
        threading.Thread(target=_end_with_parent, daemon=True).start()
        problem = launched(recipe, device, job, worker)
        if problem:
            connection.send(problem)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
