"""What is known about videos: their labels, their splits, and the features of frozen encoders.

The rooms, from the ground up; each imports only those before it (import-linter holds the order):

    ids         any file name as a text that can be stored and printed
    durable     files that survive a kill or a power failure, and whose owner is known
    format      what a part's marker and a feature set's description say
    backends    how a part's bytes lie on the disk: Zarr or HDF5
    remote      object storage through fsspec
    files       the files of a feature set, in a folder or in object storage, and how a part gets there
    write       from arrays to a committed part
    index       which part holds each video
    leases      which process has which piece of work
    care        verify, repair, compact, remove what nobody needs
    exchange    in from, and out to, the layouts that other programs use
    labels      label files, video names, splits; knows nothing of features
    commands    `python -m store`

`FeatureStore` and `FeatureSet` are the way in for everything else. Imports nothing of
extract/, train/ or evaluate/.
"""

from store.feature_set import FeatureSet
from store.features import FeatureStore

__all__ = ["FeatureSet", "FeatureStore"]
