"""VIDEVAL's published feature matrices, imported as what our own encoder gives of the same videos.

They come under the encoder's own key: a model that is trained on them judges any video that we extract.
Files: vztu/VIDEVAL, features/ (MIT; Tu et al., IEEE TIP 2021).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.errors import Problem
from config.schema import DatasetSettings, EncoderSettings
from extract.encoders.registry import build_encoder
from extract.encoders.videval.encoder import STILL
from store.exchange.importing import Imported, import_features, open_source
from store.exchange.source import Options, Source
from store.features import FeatureStore

KEY = "feats_mat"
"""The matrix in each file: [videos, 60]."""


@dataclass(frozen=True)
class Matrix:
    """How a dataset's files are called, and which column of its label file names the rows' videos."""

    name: str
    column: str


MATRICES: Mapping[str, Matrix] = {
    "KoNViD-1k": Matrix("KONVID_1K", "flickr_id"),
    "LIVE-VQC": Matrix("LIVE_VQC", "File"),
    "YouTube-UGC": Matrix("YOUTUBE_UGC", "vid"),
}
_SUFFIXES = {
    "full": "",
    "light480-3fps": "_light480_3fps",
    "light720-3fps": "_light720_3fps",
    "light720-6fps": "_light720_6fps",
}
"""Variant of the encoder → what its matrices' names end with."""


class PublishedFileMissing(Problem):
    """A matrix or a label file is not where it was said to be."""


def import_published(
    store: FeatureStore, encoder: EncoderSettings, datasets: Mapping[str, DatasetSettings], folder: Path
) -> dict[str, Imported]:
    """Import the encoder's variant of every dataset's matrix from the folder; done again, nothing changes.

    Of a stream `still`, which the matrices lack, every share is taken as 0.

    `datasets`: by name, with the label file whose rows are the matrix's. What each video's numbers were read
    from is in its meta data, as `imported`. Raises PublishedFileMissing and what an import raises.
    """
    specification = build_encoder(encoder).specification()
    found = {}
    for name, dataset in datasets.items():
        matrix = MATRICES[name]
        file = folder / f"{matrix.name}_VIDEVAL{_SUFFIXES[encoder.variant or 'light480-3fps']}_feats.mat"
        labels = dataset.labels
        for needed in (file, labels):
            if not isinstance(needed, Path) or not needed.is_file():
                raise PublishedFileMissing(
                    f"{needed}: no such file. The matrices are in the folder `features` of the repository"
                    f" vztu/VIDEVAL, the label files in vztu/BVQA_Benchmark (expected of {name}: {file.name},"
                    f" and a label file with the column {matrix.column})"
                )
        with open_source(file, Options(key=KEY, ids=f"{labels}:{matrix.column}")) as source:
            origin = {"file": file.name, **source.specification}
            if STILL in specification["streams"]:
                origin[STILL] = "taken as 0: the matrix does not say"
            metas = {video: {**source.metas.get(video, {}), "imported": origin} for video in source.videos}
            own = replace(source, specification=specification, metas=metas)
            if STILL in specification["streams"]:
                own = replace(own, read=partial(_with_still, source))
            found[name] = import_features(store, name, encoder.name, own)
    return found


def _with_still(source: Source, video: str) -> dict[str, NDArray[Any]]:
    streams = source.read(video)
    return {**streams, STILL: np.zeros((len(streams["features"]), 1, 1), np.float32)}
