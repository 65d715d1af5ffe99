"""Parts as earlier versions wrote them under the name zarr-zstd: compressed chunks, several to a file."""

import dataclasses
import shutil
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from store.feature_set import FeatureSet
from store.format.marker import StreamRows, marker_bytes


def compress(features: FeatureSet, chunk_items: int = 4, file_chunks: int = 3) -> None:
    """Turn all Zarr parts of the set into compressed ones, written by zarr-python."""
    features.refresh()
    for marker in features.index.markers.values():
        part = features.path / marker.part
        plain = zarr.open_group(part, mode="r")
        group = zarr.create_group(part.with_name("compressed"))
        streams = {
            name: _compressed(group, name, np.asarray(plain[name]), rows, chunk_items, file_chunks)
            for name, rows in marker.streams.items()
        }
        shutil.rmtree(part)
        part.with_name("compressed").rename(part)
        changed = dataclasses.replace(marker, backend="zarr-zstd", streams=streams)
        (features.path / marker.file).write_bytes(marker_bytes(changed))


def _compressed(
    group: zarr.Group, name: str, content: Any, rows: StreamRows, chunk_items: int, file_chunks: int
) -> StreamRows:
    item = content.shape[1:]
    array = group.create_array(
        name,
        shape=content.shape,
        dtype=content.dtype,
        chunks=(chunk_items, *item),
        shards=(chunk_items * file_chunks, *item),
        compressors=ZstdCodec(level=1),
        chunk_key_encoding={"name": "default", "separator": "."},
        fill_value=float("nan"),
    )
    array[:] = content
    places: list[list[int]] = []
    for number in range(-(-len(content) // (chunk_items * file_chunks))):
        file = group.store_path.store.root / name / f"c.{number}{'.0' * len(item)}"  # type: ignore[attr-defined]
        index = np.frombuffer(file.read_bytes()[-16 * file_chunks - 4 : -4], "<u8")
        places += index.reshape(file_chunks, 2).tolist()
    offsets, sizes = zip(*places[: -(-len(content) // chunk_items)], strict=True)
    return dataclasses.replace(
        rows,
        chunk_items=chunk_items,
        chunk_offsets=list(offsets),
        chunk_sizes=list(sizes),
        file_chunks=file_chunks,
    )
