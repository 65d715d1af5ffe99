"""Program: WRITERS processes write COUNT videos each to the feature set of `stored_videos`, all at once.

python tests/many_writers.py FOLDER WRITERS COUNT
"""

import os
import sys
from pathlib import Path

from stored_videos import feature_set, features_of


def main(root: Path, writers: int, count: int) -> None:
    """Import everything once, fork the writers, wait for them."""
    import zarr  # noqa: F401  so that the forked writers need not

    children = []
    for number in range(writers):
        child = os.fork()
        if not child:
            with feature_set(root).writer(part_bytes=20_000) as writer:
                for video in videos_of(number, count):
                    writer.add(video, features_of(video))
            os._exit(0)
        children.append(child)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


def videos_of(writer: int, count: int) -> list[str]:
    """The videos that a writer writes."""
    return [f"writer{writer}/{number}" for number in range(count)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
