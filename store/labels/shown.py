"""What a dataset's conversations show: which videos and pictures, under which ids."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from config.schema import DatasetSettings
from store.labels.conversations import Conversations, read_conversations
from store.labels.errors import LabelLayoutError, LabelsMissingError, some
from store.labels.files import split_name
from store.labels.resolve import full_id, video_id

log = logging.getLogger(__name__)


def conversations_of(dataset: DatasetSettings) -> dict[str, Conversations]:
    """Split → the conversations of its file; a file for no split is all trained on.

    What cannot be used is logged by line. Other splits than train may have none. Raises LabelsMissingError,
    with directions, where a file is absent, LabelLayoutError where none of a file's records can be used, or
    the file of train, or all of them, have no records, and what `read_conversations` raises.
    """
    files = dataset.labels if isinstance(dataset.labels, dict) else {"train": dataset.labels}
    if absent := [str(path) for path in files.values() if not path.exists()]:
        raise LabelsMissingError(
            f"the conversations of {dataset.name} are missing: {', '.join(absent)}\n"
            f"  get them from: {dataset.source}\n"
            f"  put them there, or change [datasets.{dataset.name}] in pipelines.toml"
        )
    found = {split_name(split) or split: _read(path) for split, path in files.items()}
    empty = {split: str(own.path) for split, own in found.items() if not own.records}
    if "train" in empty or len(empty) == len(found):
        raise LabelLayoutError(
            f"{empty.get('train') or ', '.join(empty.values())} has no conversations, expected one at least;"
            f" get it from: {dataset.source}"
        )
    return found


def _read(path: Path) -> Conversations:
    found = read_conversations(path)
    reasons = [f"line {each.line} {each.reason}" for each in found.reported]
    if reasons and not found.used:
        raise LabelLayoutError(f"{path}: none of {found.records} records can be used: {some(reasons, 3)}")
    if reasons:
        log.warning(
            "%s: %d of %d records cannot be used: %s (all: python -m train data check FILE)",
            path,
            len(reasons),
            found.records,
            some(reasons, 3),
        )
    return found


def media_ids(conversations: Iterable[Conversations]) -> dict[str, str]:
    """Name of each medium, as the records have it → its id; with its ending where that alone differs."""
    names = dict.fromkeys(name for each in conversations for used in each.used for name in used.media)
    alike: dict[str, set[str]] = defaultdict(set)
    for name in names:
        alike[video_id(name)].add(full_id(name))
    return {name: video_id(name) if len(alike[video_id(name)]) == 1 else full_id(name) for name in names}
