"""What there is to say about a feature set, as plain values."""

from pathlib import Path
from typing import Any

from store.feature_set import FeatureSet
from store.labels.files import read_labels, written_names
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
        "with_warnings": sum(bool(features.meta(video).get("warnings")) for video in videos),
        "faults": sorted(features.index.damaged.values()),
    }


def coverage(features: FeatureSet, labels: Path) -> Coverage[str]:
    """Which videos of a label file have features."""
    read = read_labels(labels)
    return resolve([label.video for label in read], features.videos(), written=written_names(read))
