"""Folds that were published with a dataset, as splits."""

import logging
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from config.schema import DatasetSettings
from store.labels.columns import videos_of
from store.labels.dataset import grouped_labels
from store.labels.errors import LabelsMissingError, SplitError, some
from store.labels.files import Label, written_names
from store.labels.resolve import resolve
from store.labels.splits import Split, fold_splits

log = logging.getLogger(__name__)


def published_folds(dataset: DatasetSettings, seed: int = 0, validation_share: float = 0.0) -> list[Split]:
    """For each of the dataset's `folds`, in the order of their numbers, the split that tests on it.

    Trained on are the other folds, but for a seeded `validation_share` of all content groups. Warns of labels
    in no fold, and of folds that divide a content group. Raises LabelsMissingError where files are absent,
    SplitError where folds are not two or more, name videos without a label, or share one.
    """
    labels = grouped_labels(dataset)
    folds = {file: _labelled(file, labels, dataset) for file in _files(dataset)}
    for (file, videos), (other, others) in combinations(folds.items(), 2):
        if shared := sorted(videos & others):
            raise SplitError(
                f"{file} and {other} share {len(shared)} videos: {some(shared)}; expected each in one fold"
            )
    known = set[str]().union(*folds.values())
    if left_out := [label.video for label in labels if label.video not in known]:
        log.warning("%s: %d labels are in no fold: %s", dataset.name, len(left_out), some(left_out))
    parts = [[label for label in labels if label.video in videos] for videos in folds.values()]
    contents = [{label.group for label in part if label.group is not None} for part in parts]
    if divided := set[str]().union(*(one & other for one, other in combinations(contents, 2))):
        log.warning(
            f"{dataset.name}: the published folds divide {len(divided)} content groups, so that what is"
            f" tested on has in part been trained on: {some(sorted(divided))}"
        )
    return fold_splits(parts, seed, validation_share)


def _labelled(file: Path, labels: Sequence[Label], dataset: DatasetSettings) -> set[str]:
    """The ids of a fold's videos."""
    names = dict.fromkeys(videos_of(file, dataset.video_column))
    joined = resolve([label.video for label in labels], names, written=written_names(labels))
    if joined.extra:
        key = f"datasets.{dataset.name}.exclude"
        hint = f", without those that {key} leaves out" if dataset.exclude else ""
        raise SplitError(
            f"{file} names {len(joined.extra)} of {len(names)} videos without a label in {dataset.name}:"
            f" {some(joined.extra)}; expected a fold of the labelled videos{hint}"
        )
    return set(joined.found)


def _files(dataset: DatasetSettings) -> list[Path]:
    key, asked = f"datasets.{dataset.name}.folds", dataset.folds
    if isinstance(asked, Path):
        files = [asked] if asked.is_file() else sorted(asked.parent.glob(asked.name), key=_by_number)
        files = files or [asked]
    else:
        files = list(asked or ())
    if absent := [file for file in files if not file.is_file()]:
        raise LabelsMissingError(f"{key}: there is no {some(absent)}; get them from: {dataset.source}")
    if len(set(files)) < max(2, len(files)):
        raise SplitError(f"{key} is {some(files) or 'not set'}: expected two or more different files")
    return files


def _by_number(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
