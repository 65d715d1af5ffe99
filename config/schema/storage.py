"""`[store]`: where features are kept."""

from pathlib import Path
from typing import Literal

from config.schema.entry import Entry


class StoreSettings(Entry):
    """Where features are kept."""

    path: Path
    backend: Literal["zarr", "zarr-zstd", "hdf5"] = "zarr"
    """What new parts are written as; parts of all kinds are read. `zarr-zstd` compresses: maps after a ReLU
    (SlowFast's) to about 0.6 of the disk, a transformer's tokens to 0.92, for slower reads."""
