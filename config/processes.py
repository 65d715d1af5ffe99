"""Processes that start at once: forks of a server that has imported what they need, and does nothing else."""

import multiprocessing
from multiprocessing.context import ForkServerContext

_SERVED = multiprocessing.get_context("forkserver")
_imported = dict[str, None]()
"""Modules that the server imports when it starts."""


def served(module: str) -> ForkServerContext:
    """The context to start processes in whose function lies in that module.

    A process that is forked here and now would have this one's threads' locks (libav's, CUDA's); one that is
    spawned would take seconds to import. The server starts with the first process, imports the modules that
    were named until then, and ends with this process. Its processes have the environment of that moment.
    """
    if module != "__main__":
        _imported[module] = None
        _SERVED.set_forkserver_preload([*_imported])
    return _SERVED
