"""What a feature set needs of the place where its files are."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from store.backends.spans import Span
from store.format.layout import Place
from store.format.marker import Marker


class Files(Protocol):
    """A folder, or the like of it in object storage; all paths are relative to it, with `/`."""

    @property
    def location(self) -> str:
        """The folder or URL, for people."""
        ...

    @property
    def path(self) -> Path:
        """The folder. Raises OnlyInFolders where there is none."""
        ...

    def make(self) -> None:
        """Make the folder itself, with its parents up to the store's."""
        ...

    def names(self, folder: str = "") -> list[str]:
        """What lies directly in a folder. Raises FileNotFoundError where a file system has none."""
        ...

    def stamp(self, folder: str) -> int:
        """A number that changes with what lies in a folder, where that is known without a listing."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is such a file now."""
        ...

    def read(self, path: str, start: int = 0) -> bytes:
        """A file from byte `start` on. Raises OSError."""
        ...

    def read_all(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Each file's bytes, or why there are none; several are read at once."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write a whole file durably, or nothing."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Add whole lines to NAME.jsonl durably, or put them beside it as NAME-….jsonl."""
        ...

    def fill(self, part: str, spans: list[Span], out: NDArray[Any]) -> None:
        """Fill `out`, C-contiguous, with these bytes of a part, one span after the other.

        Raises DamagedPart where a file is missing or too short.
        """
        ...

    def workplace(self) -> Path:
        """The local folder in which parts are made."""
        ...

    def publish(self, built: Path, unique: str, marker: Marker, look: Callable[[], Place]) -> None:
        """Make a complete part visible under its final name, and last of all its marker.

        `look` says where, and as what in the order of parts; it is asked as late as can be.
        """
        ...

    def clean(self, foreign_hours: float) -> list[str]:
        """Remove what stopped writers left. Returns the names."""
        ...

    def descriptions(self, marker: Marker) -> AbstractContextManager[Path]:
        """A local folder that holds, where the part is, what other tools go by in it."""
        ...
