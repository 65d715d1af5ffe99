"""Feature sets: the frozen encoders' output, computed once, read by every training run.

features/<dataset>/<encoder>@<key>/
    feature.json            the specification behind the key, written before anything else
    part-<uuid>/            a Zarr v3 group, written once, then immutable
    part-<uuid>.json        its commit marker: readers trust markers only
    quarantine.jsonl        videos that gave no features, and why
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from store.backends import registry as parts
from store.errors import AmbiguousFeatures, DamagedFeatureSet, FeaturesNotFound
from store.feature_set import FeatureSet
from store.format.description import DESCRIPTION, read_specification
from store.format.fingerprint import fingerprint
from store.format.marker import StreamShape
from store.format.names import check_folder_name
from store.quarantine import Quarantine, QuarantineEntry
from store.remote.feature_set import RemoteFeatureSet
from store.remote.place import is_url
from store.remote.storage import Remote
from store.write.writer import PartWriter

__all__ = [
    "FeatureSet",
    "FeatureStore",
    "PartWriter",
    "Quarantine",
    "QuarantineEntry",
    "StreamShape",
]


class FeatureStore:
    """All feature sets below one folder, or below one URL such as s3://bucket/features.

    Raises UnknownBackend; for a URL, RemoteFailed from all that it does.
    """

    def __init__(self, root: Path | str, backend: str = "zarr") -> None:
        self._remote = Remote(root) if is_url(root) else None
        self._folder = self._remote.mirror if self._remote else Path(root)
        self.root: Path | str = self._remote.url if self._remote else Path(root)
        self._backend = parts.writable(backend).name

    def feature_set(self, dataset: str, encoder: str, specification: Mapping[str, Any]) -> FeatureSet:
        """The feature set of that specification; its folder is made at the first write.

        Raises InvalidName, InvalidSpecification, DamagedFeatureSet.
        """
        check_folder_name(dataset, "dataset")
        check_folder_name(encoder, "encoder")
        path = self._folder / dataset / f"{encoder}@{fingerprint(specification)}"
        self._pull(path)
        if (path / DESCRIPTION).is_file():
            return self.open(path)
        return self._feature_set(path, dataset, encoder, specification)

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
                f"{self._listing(found)}"
            )
        there = self._listing(self.paths())
        raise FeaturesNotFound(
            f"{self.root} has no features {wanted}; " + (f"it has:{there}" if there else "it is empty")
        )

    def feature_sets(self) -> list[FeatureSet]:
        """All feature sets, sorted by name. Raises DamagedFeatureSet, NewerFormat."""
        return [self.open(path) for path in self.paths()]

    def paths(self, dataset: str = "*") -> list[Path]:
        """Folders of all feature sets (of one dataset), sorted; for a URL, those of its mirror."""
        if self._remote:
            self._remote.pull_descriptions(None if dataset == "*" else dataset)
        return sorted(file.parent for file in self._folder.glob(f"{dataset}/*@*/{DESCRIPTION}"))

    def open(self, path: Path) -> FeatureSet:
        """The feature set in a folder. Raises DamagedFeatureSet, NewerFormat."""
        encoder, _, key = path.name.rpartition("@")
        specification = read_specification(path / DESCRIPTION)
        found = fingerprint(specification)
        if found != key:
            raise DamagedFeatureSet(
                f"{path / DESCRIPTION} describes features with the key {found}, not {key} as the name of its"
                " folder says: one of the two was changed by hand"
            )
        return self._feature_set(path, path.parent.name, encoder, specification)

    def _feature_set(
        self, path: Path, dataset: str, encoder: str, specification: Mapping[str, Any]
    ) -> FeatureSet:
        if self._remote:
            return RemoteFeatureSet(self._remote, dataset, encoder, specification, self._backend)
        return FeatureSet(path, dataset, encoder, specification, self._backend)

    def _has_parts(self, path: Path) -> bool:
        self._pull(path)
        return any(path.glob("part-*.json"))

    def _pull(self, path: Path) -> None:
        if self._remote:
            self._remote.pull(path.relative_to(self._folder).as_posix())

    def _listing(self, paths: list[Path]) -> str:
        return "".join(f"\n  {path.relative_to(self._folder).as_posix()}" for path in paths)
