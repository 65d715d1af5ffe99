"""What there is to say about a feature set, as plain values."""

from pathlib import Path
from typing import Any

from store.feature_set import FeatureSet
from store.labels.files import written_names
from store.labels.merging import read_labels
from store.labels.resolve import Coverage, resolve


def summary(features: FeatureSet) -> dict[str, Any]:
    """Names, counts, sizes, dates and streams of a feature set; JSON values only."""
    videos = features.videos()
    committed = features.committed
    return {
        "name": features.name,
        "dataset": features.dataset,
        "encoder": features.encoder,
        "key": features.key,
        "path": features.location,
        "videos": len(videos),
        "bytes": features.size_bytes,
        "parts": len(features.index.markers),
        "committed": f"{committed:%Y-%m-%d %H:%M} UTC" if committed else None,
        "streams": {name: {"shape": s.shape, "dtype": s.dtype} for name, s in features.streams.items()},
        "subset_hash": features.subset_hash(),
        "quarantined": len(features.quarantine),
        "with_warnings": _with_warnings(features),
        "faults": sorted(features.index.damaged.values()),
    }


def _with_warnings(features: FeatureSet) -> int:
    places = [(features.metas.of(marker), rows) for marker, rows in features.index.places() if rows]
    return sum(bool(metas[row].get("warnings")) for metas, rows in places for row in rows)


def coverage(features: FeatureSet, labels: Path) -> Coverage[str]:
    """Which videos of a label file have features."""
    read = read_labels(labels)
    return resolve([label.video for label in read], features.videos(), written=written_names(read))
