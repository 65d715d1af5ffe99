"""Several processes of one training on this machine: what a launcher starts, without its start-up time."""

import gc
import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess

from accelerate.state import AcceleratorState


def start(function: Callable[[], object], processes: int) -> Sequence[BaseProcess]:
    """Fork the processes; each sees the variables that `accelerate launch --cpu` would have given it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    started = [
        context.Process(target=_run, args=(function, rank, processes, port)) for rank in range(processes)
    ]
    for process in started:
        process.start()
    return started


def finish(processes: Sequence[BaseProcess], timeout_seconds: float = 1200) -> list[int | None]:
    """Wait for the processes, which may take their time but not for ever; their exit statuses."""
    for process in processes:
        process.join(timeout_seconds)
        if process.is_alive():
            process.kill()
            process.join()
    return [process.exitcode for process in processes]


def together(function: Callable[[], object], processes: int = 2) -> None:
    """Run the function in so many processes of one training; all must succeed."""
    statuses = finish(start(function, processes))
    assert statuses == [0] * processes, f"the processes ended with {statuses}; their errors are above"


def _run(function: Callable[[], object], rank: int, processes: int, port: int) -> None:
    gc.freeze()  # what is garbage of the parent's: process groups, whose threads are not here to be joined
    AcceleratorState._reset_state(True)  # the parent's, of one process, came along with the fork
    os.environ |= {
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
    }
    status = 1
    try:
        function()
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)
