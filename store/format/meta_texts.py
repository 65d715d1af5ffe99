"""The meta data of a part's videos as the text that was written: most videos are never asked for theirs."""

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from store.errors import DamagedMarker

_DECODER = json.JSONDecoder()


class MetaTexts(Sequence[dict[str, Any]]):
    """A JSON array of one object a video; an object is made whenever it is asked for.

    Raises DamagedMarker, at the first access, where the text is not such an array of `count` objects.
    """

    def __init__(self, marker: Path, text: bytes, count: int) -> None:
        self._marker = marker
        self._text = text
        self._count = count
        self._begins: array[int] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, row: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, row: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, row: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(self._count))]
        if self._begins is None:
            self._begins = self._find()
        number = range(self._count)[row]
        # Between two objects stands a comma; after the last one the closing bracket.
        text = self._text[self._begins[number] : self._begins[number + 1] - 1]
        meta: dict[str, Any] = json.loads(text)
        return meta

    def _find(self) -> "array[int]":
        """Where each object begins, and where one more would."""
        text = self._text.decode("ascii")
        begins, position = array("I", [1]), 1
        try:
            while len(begins) <= self._count:
                found, position = _DECODER.raw_decode(text, position)
                after = "]" if len(begins) == self._count else ","
                if not isinstance(found, dict) or text[position : position + 1] != after:
                    raise ValueError(f"expected {self._count} objects, found {text[:80]}…")
                position += 1
                begins.append(position)
        except ValueError as error:
            raise DamagedMarker(f"{self._marker}: its meta data cannot be read: {error}") from None
        return begins
