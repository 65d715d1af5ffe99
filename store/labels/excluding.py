"""Labelled videos that a dataset's settings leave out of everything."""

import logging
from collections.abc import Sequence
from pathlib import Path

from config.schema import DatasetSettings
from store.labels.columns import videos_of
from store.labels.errors import LabelValueError, some
from store.labels.files import Label, written_names
from store.labels.resolve import resolve

log = logging.getLogger(__name__)


def without_excluded(dataset: DatasetSettings, labels: Sequence[Label]) -> list[Label]:
    """The labels of videos that the dataset's `exclude` does not name.

    Raises LabelValueError for names that no label has, or where none is left, and what `videos_of` raises.
    """
    asked = dataset.exclude
    names = dict.fromkeys(videos_of(asked, dataset.video_column) if isinstance(asked, Path) else asked)
    if not names:
        return list(labels)
    joined = resolve([label.video for label in labels], names, written=written_names(labels))
    key = f"datasets.{dataset.name}.exclude"
    if joined.extra:
        raise LabelValueError(
            f"{key} names {len(joined.extra)} of {len(names)} videos that have no label: {some(joined.extra)}"
        )
    kept = [label for label in labels if label.video not in joined.found]
    if not kept:
        raise LabelValueError(f"{key} names all {len(labels)} videos")
    log.info("%s: %d of %d videos are excluded", dataset.name, len(labels) - len(kept), len(labels))
    return kept
