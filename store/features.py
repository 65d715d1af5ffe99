"""Feature sets: the frozen encoders' output, computed once, read by every training run.

features/
    store.json                       written when the store is made: its format and id
    <dataset>/<encoder>@<key>/
        feature.json                 the specification behind the key, written before anything else
        parts-00000/part-<unique>/   a Zarr v3 group (or one file), written once, then immutable
        parts-00000/part-….json      its commit marker: readers trust markers only
        quarantine-<unique>.jsonl    videos that gave no features, and why
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from store.backends import registry as parts
from store.errors import AmbiguousFeatures, DamagedFeatureSet, FeaturesNotFound, ReadFailed
from store.feature_set import FeatureSet
from store.files import Files, files_at
from store.format.fingerprint import DESCRIPTION, fingerprint, parse_specification
from store.format.layout import is_marker, parts_folders
from store.format.marker import StreamShape
from store.ids import check_folder_name
from store.remote.place import as_folder, is_url
from store.remote.storage import Remote
from store.write.writer import PartWriter

__all__ = [
    "FeatureSet",
    "FeatureStore",
    "PartWriter",
    "StreamShape",
]


class FeatureStore:
    """All feature sets below one folder, or below one URL such as s3://bucket/features.

    Raises UnknownBackend; for a URL, RemoteFailed from all that it does.
    """

    def __init__(self, root: Path | str, backend: str = "zarr") -> None:
        self.root: Path | str = Remote(root).url if is_url(root) else as_folder(root)
        self._backend = parts.writable(backend).name

    def feature_set(self, dataset: str, encoder: str, specification: Mapping[str, Any]) -> FeatureSet:
        """The feature set of that specification; its folder is made at the first write.

        Raises InvalidName, InvalidSpecification, DamagedFeatureSet.
        """
        check_folder_name(dataset, "dataset")
        check_folder_name(encoder, "encoder")
        path = PurePosixPath(dataset, f"{encoder}@{fingerprint(specification)}")
        files = self._files(str(path))
        if files.exists(DESCRIPTION):
            return self.open(path)
        return FeatureSet(files, dataset, encoder, specification, self._backend)

    def find(self, dataset: str, encoder: str, key: str | None = None) -> FeatureSet:
        """The only feature set of an encoder on a dataset, or the one whose key begins with `key`.

        Of several, those without any videos do not count. Raises FeaturesNotFound, AmbiguousFeatures,
        DamagedFeatureSet.
        """
        check_folder_name(dataset, "dataset")
        check_folder_name(encoder, "encoder")
        found = [path for path in self.paths(dataset) if path.name.startswith(f"{encoder}@{key or ''}")]
        if len(found) > 1:
            found = [path for path in found if self._has_parts(path)] or found
        if len(found) == 1:
            return self.open(found[0])
        wanted = f"{dataset}/{encoder}" + (f"@{key}" if key else "")
        if found:
            raise AmbiguousFeatures(
                f"several feature sets are named {wanted}: choose one by its key, or delete the others:"
                f"{_listing(found)}"
            )
        there = _listing(self.paths())
        raise FeaturesNotFound(
            f"{self.root} has no features {wanted}; " + (f"it has:{there}" if there else "it is empty")
        )

    def feature_sets(self) -> list[FeatureSet]:
        """All feature sets, sorted by name. Raises DamagedFeatureSet, NewerFormat."""
        return [self.open(path) for path in self.paths()]

    def paths(self, dataset: str | None = None) -> list[PurePosixPath]:
        """All feature sets (of one dataset), sorted, as DATASET/ENCODER@KEY below the store."""
        datasets = self._files("").names() if dataset is None else [dataset]
        found = []
        for folder in datasets:
            try:
                found += [PurePosixPath(folder, name) for name in self._files(folder).names() if "@" in name]
            except ReadFailed as error:
                # Such as the lost+found of a disk of its own.
                if not isinstance(error.__cause__, PermissionError):
                    raise
        return sorted(path for path in found if self._files(str(path)).exists(DESCRIPTION))

    def open(self, path: PurePosixPath) -> FeatureSet:
        """One of `paths`. Raises DamagedFeatureSet, NewerFormat, ReadFailed."""
        encoder, _, key = path.name.rpartition("@")
        files = self._files(str(path))
        where = f"{files.location}/{DESCRIPTION}"
        if (data := files.read(DESCRIPTION)) is None:
            raise DamagedFeatureSet(f"{where} is missing: restore it, or delete the folder")
        specification = parse_specification(where, data)
        found = fingerprint(specification)
        if found != key:
            raise DamagedFeatureSet(
                f"{where} describes features with the key {found}, not {key} as the name of its"
                " folder says: one of the two was changed by hand"
            )
        return FeatureSet(files, path.parent.name, encoder, specification, self._backend, made=True)

    def _files(self, folder: str) -> Files:
        return files_at(self.root, folder)

    def _has_parts(self, path: PurePosixPath) -> bool:
        files = self._files(str(path))
        root = files.names()
        return any(map(is_marker, root)) or any(
            any(map(is_marker, files.names(folder))) for folder in parts_folders(root)
        )


def _listing(paths: list[PurePosixPath]) -> str:
    return "".join(f"\n  {path}" for path in paths)
