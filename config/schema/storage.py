"""`[store]`: where features are kept."""

from pathlib import Path
from typing import Literal

from config.schema.entry import Entry


class StoreSettings(Entry):
    """Where features are kept."""

    path: Path
    backend: Literal["zarr", "hdf5"] = "zarr"
    """What new parts are written as; parts of all kinds are read."""
