"""Which content a video is of: by a column of its labels, or by a part of its name."""

import re
from collections.abc import Sequence
from dataclasses import replace

from config.errors import nearest
from store.labels.errors import GroupError, some
from store.labels.files import Label


def check_group(group: str, columns: Sequence[str], setting: str, source: str) -> None:
    """Raises GroupError where the group is neither one of the columns nor a pattern with a (group).

    `setting` names the option or setting in messages, `source` the label files.
    """
    if group in columns:
        return
    has = f"{source}: its further columns are: {some(columns, 40) or 'none'}"
    try:
        groups = re.compile(group).groups
    except re.error as error:
        raise GroupError(f"{setting} = {group!r} is no regular expression ({error}); {has}") from error
    if groups < 1:
        raise GroupError(
            f"{setting} = {group!r} is neither a column nor a regular expression with a (group)"
            f"{nearest(group, columns)}; {has}"
        )


def with_groups(labels: Sequence[Label], group: str, setting: str, source: str) -> list[Label]:
    """The labels with their content groups: the column's value, or what the pattern's first (group) matches.

    Raises GroupError where some videos have none.
    """
    if any(group in label.extra for label in labels):
        found = [label.extra.get(group) for label in labels]
    else:
        matches = [re.search(group, label.video) for label in labels]
        found = [None if match is None else match.group(1) for match in matches]
    without = [label.video for label, name in zip(labels, found, strict=True) if not name]
    if without:
        raise GroupError(
            f"{source}: {setting} = {group!r} gives {len(without)} of"
            f" {len(labels)} videos no content group: {some(without)}"
        )
    return [replace(label, group=name) for label, name in zip(labels, found, strict=True)]
