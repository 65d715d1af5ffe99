"""What labels say of videos in numbers beside the opinion score, such as MaxWell's dimensions."""

from collections.abc import Sequence

from config.errors import nearest
from store.labels.errors import LabelLayoutError, shown, some
from store.labels.files import Label
from store.labels.tables import is_number, number


def dimensions(
    labels: Sequence[Label], source: str, names: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """The labels' further columns (`extra`) as numbers: column → video → value, without missing cells.

    Unasked, all columns that hold numbers alone. `source`, the label file, is for messages. Raises
    LabelLayoutError for a column that no label has, LabelValueError for a value that is no number.
    """
    cells: dict[str, dict[str, str]] = {}
    for label in labels:
        for column, cell in label.extra.items():
            cells.setdefault(column, {})[label.video] = cell
    for name in names:
        if name not in cells:
            has = some(list(cells), 40) or "none"
            raise LabelLayoutError(
                f"{source} has no further column {name!r}{nearest(name, cells)}; its further columns: {has}"
            )
    numeric = [column for column, of in cells.items() if all(map(is_number, of.values()))]
    found: dict[str, dict[str, float]] = {}
    for column in names or numeric:
        values = {v: number(cell, f"{source}: {column} of {shown(v)}") for v, cell in cells[column].items()}
        found[column] = {video: value for video, value in values.items() if value is not None}
    return found
