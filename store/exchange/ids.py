"""The list of videos that belongs to a matrix: a column of a CSV file, lines of text, or an HDF5 dataset."""

import csv
from collections import Counter
from pathlib import Path

import h5py

from config.errors import nearest
from store.errors import DuplicateVideo, ImportFailed
from store.exchange.arrays import refusing
from store.labels.errors import some
from store.labels.resolve import video_id


def listed_ids(ids: str) -> list[str]:
    """The canonical video ids that `--ids` names: FILE:COLUMN, FILE.h5:DATASET, or FILE, one id a line.

    Raises ImportFailed, DuplicateVideo.
    """
    name, colon, column = (ids, ":", "id") if Path(ids).is_file() else ids.rpartition(":")
    file = Path(name)
    if not file.is_file():
        what = file if colon else f"--ids {ids}"
        raise ImportFailed(
            f"{what}: no such file; expected FILE:COLUMN, as in metadata.csv:flickr_id, or FILE"
        )
    if file == Path(ids):
        names, first = _lines(file), 1
    elif h5py.is_hdf5(file):
        names, first = _dataset(file, column), 0
    else:
        names, first = _column(file, column), 2
    videos = [video_id(name) for name in names]
    empty = [str(line) for line, video in enumerate(videos, start=first) if not video]
    if empty:
        raise ImportFailed(f"{file}: no {column} in the rows {some(empty)}")
    repeated = [video for video, count in Counter(videos).items() if count > 1]
    if repeated:
        raise DuplicateVideo(f"{file}: {column} lists {len(repeated)} videos twice: {some(repeated)}")
    return videos


def _lines(file: Path) -> list[str]:
    with refusing(file, "UTF-8 text"):
        return file.read_text(encoding="utf-8-sig").splitlines()


def _column(file: Path, column: str) -> list[str]:
    with (
        refusing(file, "comma-separated UTF-8 text"),
        file.open(newline="", encoding="utf-8-sig") as lines,
    ):
        reader = csv.DictReader(lines, skipinitialspace=True)
        columns = list(reader.fieldnames or [])
        if column not in columns:
            known = some(columns, 40)
            raise ImportFailed(f"{file} has no column {column!r}{nearest(column, columns)}; it has {known}")
        return [row[column] or "" for row in reader]


def _dataset(file: Path, dataset: str) -> list[str]:
    with refusing(file, "HDF5"), h5py.File(file) as content:
        item = content.get(dataset)
        if not isinstance(item, h5py.Dataset) or h5py.check_string_dtype(item.dtype) is None:
            known = some(list(content))
            raise ImportFailed(f"{file} has no dataset of strings {dataset!r}; it has {known}")
        return [str(name) for name in item.asstr()[()].ravel()]
