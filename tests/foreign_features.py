"""Features as other programs leave them, and how tests import them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store.exchange.importing import Imported, import_features, open_source
from store.exchange.source import Options
from store.features import FeatureStore


def bring(store: Path, source: Path, strict: bool = False, format: str = "auto", **options: Any) -> Imported:
    with open_source(source, Options(**options), format) as opened:
        return import_features(FeatureStore(store), "demo", "made", opened, strict)


def numbers(*shape: int, seed: int = 0, dtype: str = "float32") -> NDArray[Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def save(file: Path, array: NDArray[Any]) -> NDArray[Any]:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, array)
    return array
