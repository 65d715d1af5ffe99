"""Several devices of one machine: a process for each, which takes lot after lot."""

import logging
import multiprocessing
import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch

from config.errors import Problem
from config.interruption import stops_on_sigterm
from extract.executors.errors import RunnersLost
from extract.executors.lots import Lot, LotQueue, cut
from extract.executors.runner import Finished, Ready, Report, Runner, record
from extract.tasks import Outcome, Recipe, VideoTask
from extract.timing import Phases
from store.features import FeatureSet

logger = logging.getLogger(__name__)

_DEATHS_IN_A_ROW = 6
# Long enough to write the features of a minute to a slow disk.
_STOP_SECONDS = 60.0


@dataclass
class _DeviceProcess:
    process: SpawnProcess
    connection: Connection
    ready: bool = False
    lot: Lot | None = None


class DevicesExecutor:
    """Extracts on several devices of this machine, such as cuda:0 and cuda:1, each in a process of its own.

    A process that dies is replaced, and its videos go to whichever process is free next. Once a device's
    processes died six times without a finished lot in between, the others go on without it. `phases` adds
    up over the devices. The recipe's decode workers are for each device.
    """

    def __init__(self, recipe: Recipe, devices: Sequence[str]) -> None:
        self.phases = Phases()
        self._recipe = recipe
        self._devices = list(devices)
        self._deaths = [0] * len(self._devices)
        self._running: dict[int, _DeviceProcess] = {}
        self._sets: dict[str, FeatureSet] = {}

    def run(self, tasks: Sequence[VideoTask]) -> Generator[Outcome]:
        """One outcome for each task, as they come; all is committed when they end.

        Raises RunnersLost if no device is left, and any Problem that a process met.
        """
        queue = LotQueue(cut(tasks, len(self._devices)))
        try:
            while not queue.done:
                self._start_and_supply(queue)
                connections: dict[Any, int] = {
                    one.connection: number for number, one in self._running.items()
                }
                for connection in wait(list(connections)):
                    yield from self._listen(connections[connection], queue)
        finally:
            if not queue.done:
                self.close()

    def close(self) -> None:
        """End the processes; what they had finished is committed first."""
        running, self._running = list(self._running.values()), {}
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.join(_STOP_SECONDS)
            one.process.kill()
            one.process.join()
            one.connection.close()

    def _start_and_supply(self, queue: LotQueue) -> None:
        for number in range(len(self._devices)):
            idle = sum(one.lot is None for one in self._running.values())
            may_start = number not in self._running and self._deaths[number] < _DEATHS_IN_A_ROW
            if may_start and len(queue) > idle:
                self._running[number] = self._start(self._devices[number])
        if not self._running:
            raise RunnersLost(
                f"the processes of {', '.join(self._devices)} died again and again: see the errors above; "
                f"{queue.videos} videos are left. What was committed is safe; the same command continues."
            )
        for one in self._running.values():
            if one.ready and one.lot is None and (lot := queue.take()):
                one.lot = lot
                # A process that has just died is noticed when it is listened to.
                with suppress(OSError):
                    one.connection.send(lot)

    def _start(self, device: str) -> _DeviceProcess:
        # Spawned: CUDA does not survive a fork. Not daemonic: it has decode workers of its own.
        context = multiprocessing.get_context("spawn")
        ours, its = context.Pipe()
        process = context.Process(target=_extract, args=(its, self._recipe, device, self._threads(device)))
        process.start()
        its.close()
        return _DeviceProcess(process, ours)

    def _threads(self, device: str) -> int:
        """Of torch, for one process: those of this process, shared among the devices that are CPUs."""
        threads = torch.get_num_threads()
        return max(1, threads // self._devices.count("cpu")) if device == "cpu" else threads

    def _listen(self, number: int, queue: LotQueue) -> Iterator[Outcome]:
        one = self._running[number]
        try:
            report: Report = one.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(number, queue)
            return
        if isinstance(report, Problem):
            raise report
        if isinstance(report, Ready):
            self._sets, one.ready = report.sets, True
        elif isinstance(report, Finished):
            for phase, seconds in report.seconds.items():
                self.phases.add(phase, seconds)
            if one.lot:
                queue.finished(one.lot)
            one.lot = None
            self._deaths[number] = 0
        else:
            yield from queue.new(report)

    def _bury(self, number: int, queue: LotQueue) -> Iterator[Outcome]:
        dead = self._running.pop(number)
        dead.connection.close()
        dead.process.join()
        self._deaths[number] += 1
        refused = queue.died(dead.lot) if dead.lot else None
        logger.warning(
            "the process of %s died (%s); %s",
            self._devices[number],
            _ending(dead.process.exitcode),
            "its videos go to the next free one" if dead.lot else "it had not begun a video",
        )
        if refused:
            record(refused, self._sets)
            yield from queue.new([refused])


def _ending(status: int | None) -> str:
    """An exit status in words."""
    if status is not None and status < 0:
        return signal.Signals(-status).name
    return f"exit status {status}"


def _extract(connection: Connection, recipe: Recipe, device: str, threads: int) -> None:
    """What a process does until the pipe is closed. Ctrl-C reaches it through the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    with stops_on_sigterm(), suppress(EOFError, BrokenPipeError):
        try:
            runner = Runner(recipe, device)
        except Problem as problem:
            connection.send(problem)
            return
        with closing(runner):
            connection.send(runner.ready)
            while True:
                with closing(runner.extract(connection.recv())) as reports:
                    for report in reports:
                        connection.send(report)
