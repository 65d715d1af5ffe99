"""What cells found, kept beside their runs: a finished cell is not done again."""

import json
import logging
from dataclasses import asdict

from evaluate.protocols.cell import Cell, Tested, TestedVideo
from store.durable.commit import make_folders, write_file

log = logging.getLogger(__name__)

FILE = "tested.json"


def kept(cell: Cell) -> Tested | None:
    """What the cell found earlier; None where it has not been done, or not so (`Cell.digest`)."""
    file = cell.place / FILE
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_bytes())
        if found.pop("digest") != cell.digest():
            return None
        found["tests"] = {
            name: [TestedVideo(**video) for video in videos] for name, videos in found["tests"].items()
        }
        return Tested(**found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("%s is damaged (%s): the cell is tested again", file, error)
        return None


def keep(cell: Cell, tested: Tested) -> None:
    """Write what the cell found, all or nothing."""
    make_folders(cell.place)
    write_file(cell.place / FILE, json.dumps({"digest": cell.digest(), **asdict(tested)}).encode())


def forget(cell: Cell) -> None:
    """So that the cell is done again."""
    (cell.place / FILE).unlink(missing_ok=True)
