"""Brings features that were made elsewhere into the store."""

from collections.abc import Mapping
from dataclasses import dataclass

from store.errors import ImportFailed, InvalidFeatures
from store.exchange.source import Fault, Progress, Source, quiet
from store.feature_set import FeatureSet
from store.features import FeatureStore

_SHOWN = 3


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    features: FeatureSet
    videos: int
    """Videos of the source, those in quarantine included."""
    new: int
    """Of them, not imported before."""
    quarantined: dict[str, Fault]
    """Video → why it gave no features."""
    imputed: dict[str, list[int]]
    """Video → columns (from 0) whose missing values were replaced by the column's median."""
    passed_over: dict[str, str]
    """What else the source holds: its name → why it is no video's."""


def import_features(
    store: FeatureStore,
    dataset: str,
    encoder: str,
    source: Source,
    strict: bool = False,
    progress: Progress = quiet,
) -> Imported:
    """Import every video of a source, one in memory at a time. The same import twice changes nothing.

    A video that cannot be used is put in quarantine, with the reason, and the others are imported;
    `strict` stops at the first instead: before anything is written, unless reading it shows the fault. Raises
    ImportFailed, also where no video at all can be used.
    """
    features = store.feature_set(dataset, encoder, source.specification)
    faults = dict(source.faults)
    _refuse(faults, strict)
    new = [video for video in source.videos if video not in features]
    stored = 0
    with features.writer() as writer:
        for video in progress(new, "import"):
            try:
                writer.add(video, source.read(video), source.metas.get(video, {}))
                stored += 1
            except InvalidFeatures as error:
                faults[video] = Fault("invalid_features", str(error))
                _refuse(faults, strict)
    count = len(source.videos) + len(source.faults)
    if len(faults) == count:
        raise ImportFailed(f"none of the {count:,} videos can be used: {_first(faults)}")
    _record(features, source, faults)
    imputed = {video: columns for video, columns in source.imputed.items() if video not in faults}
    return Imported(features, count, stored, faults, imputed, dict(source.passed_over))


def _refuse(faults: Mapping[str, Fault], strict: bool) -> None:
    if strict and faults:
        raise ImportFailed(f"{len(faults):,} videos cannot be used, and --strict was asked: {_first(faults)}")


def _first(faults: Mapping[str, Fault]) -> str:
    lines = [f"{video}: {fault.reason}" for video, fault in list(faults.items())[:_SHOWN]]
    return "".join(f"\n  {line}" for line in [*lines, *(["…"] if len(faults) > _SHOWN else [])])


def _record(features: FeatureSet, source: Source, faults: Mapping[str, Fault]) -> None:
    known = {entry.video: entry.reason for entry in features.quarantine.entries()}
    for video, fault in faults.items():
        if known.get(video) != fault.reason:
            features.quarantine.add(video, fault.reason, fault.kind)
    features.quarantine.remove(video for video in source.videos if video in known and video not in faults)
