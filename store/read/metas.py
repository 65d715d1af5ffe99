"""What was noted about each video, read from its part's marker whenever somebody asks for it."""

from typing import Any

from store.files import Files
from store.format.marker import Marker, read_meta, unreadable

_KEPT = 64


class Metas:
    """The meta data of a feature set's videos; those of the last parts are kept in memory."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._parts: dict[str, list[dict[str, Any]]] = {}

    def of(self, marker: Marker) -> list[dict[str, Any]]:
        """Of each video of a part. Raises DamagedMarker."""
        if marker.file not in self._parts:
            if len(self._parts) >= _KEPT:
                self._parts.clear()
            where = f"{self._files.location}/{marker.file}"
            try:
                data = self._files.read(marker.file)
            except OSError as error:
                raise unreadable(where, error) from None
            self._parts[marker.file] = read_meta(where, data, len(marker.videos))
        return self._parts[marker.file]
