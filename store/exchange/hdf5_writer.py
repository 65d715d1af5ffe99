"""A feature set as one HDF5 file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from store.durable.commit import publish_file
from store.durable.owner import temporary_name
from store.exchange.npy_writer import described, encoded
from store.exchange.source import plain
from store.feature_set import FeatureSet

FILE = "features.h5"
MARK = "feature_set"
"""The attribute that tells an export from other files."""


class Hdf5Writer:
    """Writes features.h5: a group for each video, its id percent-encoded, with a dataset for each stream.

    Attributes, JSON all: the file's `feature_set`, a group's `meta`. A `Target`.
    """

    def __init__(self, features: FeatureSet, folder: Path) -> None:
        self._final = folder / FILE
        self._temporary = folder / temporary_name(FILE)
        # 1.10: the first version whose attributes may be larger than 64 KiB.
        self._content = h5py.File(self._temporary, "w", libver=("v110", "v110"))
        self._content.attrs[MARK] = json.dumps(described(features))

    def add(self, video: str, streams: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """See `Target`."""
        group = self._content.create_group(encoded(video))
        group.attrs["meta"] = json.dumps(meta)
        for stream, array in streams.items():
            group.create_dataset(stream, data=plain(array))

    def finish(self) -> None:
        """See `Target`."""
        self._content.close()
        publish_file(self._temporary, self._final)

    def close(self) -> None:
        """See `Target`."""
        self._content.close()
        self._temporary.unlink(missing_ok=True)
