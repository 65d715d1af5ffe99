"""Read in their order what is asked for, while threads already read the next."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Request = TypeVar("Request")
Found = TypeVar("Found")


def read_ahead(
    read: Callable[[Request], Found], requests: Iterable[Request], threads: int, ahead: int
) -> Iterator[Found]:
    """What `read` gives for each request, in their order; at most `ahead` results wait.

    Reading features waits outside Python, so that threads keep up with the disk without what processes take
    to hand over memory. Without threads, each is read when its turn comes. Raises what `read` raises, then.
    """
    if threads < 1:
        yield from map(read, requests)
        return
    waiting: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(threads, "read-ahead") as pool:
        try:
            for request in requests:
                waiting.append(pool.submit(read, request))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
