"""Records of JSON files, of JSON lines and of Hugging Face datasets on disk, each with where it stands."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import refusing
from store.labels.errors import LabelLayoutError, LabelsMissingError

TURNS = ("conversations", "conversation", "messages")
"""What records call their turns."""

_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n\ufeff"
_EXPECTED = "expected a list of records, or one a line, or a Hugging Face dataset on disk"


@dataclass(frozen=True)
class Broken:
    """A line that is no JSON."""

    reason: str


def read_records(path: Path) -> Iterator[tuple[int, Any]]:
    """Line and content of each record: any JSON value, or Broken.

    Of a JSON list, or of the first list in a JSON object, the line on which a record begins; of a Hugging
    Face dataset (`save_to_disk`), the number of its row, from 1. Byte-order marks and empty lines are passed
    over: an empty .jsonl file has no records.
    Raises LabelsMissingError, and LabelLayoutError where the file is none of these or breaks off.
    """
    if path.is_dir():
        yield from _rows(path)
        return
    if not path.is_file():
        raise LabelsMissingError(f"{path} does not exist, or is no file")
    raw = path.read_bytes()
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    with refusing(LabelLayoutError, f"{path} is no text in UTF-8 or UTF-16"):
        text = raw.decode("utf-16" if utf16 else "utf-8")
    begin = _after_space(text, 0)
    lines = path.suffix.lower() == ".jsonl"
    if begin == len(text) and not lines:
        raise LabelLayoutError(f"{path} is empty: {_EXPECTED}")
    start = None
    if not lines:
        start = begin + 1 if text[begin] == "[" else _first_list(text, begin + 1)
    yield from _lines(text) if start is None else _listed(path, text, start)


def _lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line := line.strip(_SPACE):
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, Broken(f"cannot be read as JSON: {error}")


def _listed(path: Path, text: str, place: int) -> Iterator[tuple[int, Any]]:
    """The values of a JSON list behind its bracket."""
    line, counted = 1, 0
    place = _after_space(text, place)
    while text[place : place + 1] != "]":
        line, counted = line + text.count("\n", counted, place), place
        with refusing(LabelLayoutError, f"{path}, the record on line {line} cannot be read as JSON"):
            record, place = _DECODER.raw_decode(text, place)
            place = _after_space(text, place)
            if text[place : place + 1] == ",":
                place = _after_space(text, place + 1)
            elif text[place : place + 1] != "]":
                raise ValueError(
                    f"behind it, a comma or the list's end was expected, not {text[place:][:20]!r}"
                )
        yield line, record


def _first_list(text: str, place: int) -> int | None:
    """Behind the bracket of the first list that an object holds; None where it is a record, or holds none."""
    place = _after_space(text, place)
    try:
        while text[place] != "}":
            key, place = _DECODER.raw_decode(text, place)
            place = _after_space(text, _after_space(text, place) + 1)
            if key in TURNS:
                return None
            if text[place] == "[":
                return place + 1
            _, place = _DECODER.raw_decode(text, place)
            place = _after_space(text, place)
            place = _after_space(text, place + (text[place] == ","))
    except (ValueError, IndexError, RecursionError):
        pass
    return None


def _after_space(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place


def _rows(folder: Path) -> Iterator[tuple[int, Any]]:
    try:
        from datasets import Dataset, disable_progress_bars, load_from_disk
    except ImportError:
        raise LabelLayoutError(
            f"{folder} is a folder, which is read as a Hugging Face dataset: pip install --constraint"
            " constraints.txt --editable '.[datasets]'"
        ) from None
    disable_progress_bars()
    with refusing(LabelLayoutError, f"{folder} cannot be read as a Hugging Face dataset on disk"):
        found = load_from_disk(str(folder))
    if not isinstance(found, Dataset):
        raise LabelLayoutError(
            f"{folder} holds a dataset for each of {', '.join(found)}: name the folder of one, or in `labels`"
            " one for each split"
        )
    # In Arrow's format, so that pictures which the dataset holds stay undecoded: their names are wanted.
    batches = found.with_format("arrow").iter(batch_size=1000)
    yield from enumerate((record for batch in batches for record in batch.to_pylist()), start=1)
