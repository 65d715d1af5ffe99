"""How scores are shown: a table, JSON, a line of JSON for each video, CSV."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from evaluate.predicting.scores import Moment, VideoScore
from store.labels.errors import shown as printable


def as_table(found: Sequence[VideoScore]) -> str:
    """A row for each video; below it what is peculiar about them, and their curves."""
    rows = [
        [printable(one.video), one.score, _interval(one), one.level or "–", one.error or one.text]
        for one in found
    ]
    headers = ["video", "score (0–100)", "80 % interval", "level", "answer"]
    table = tabulate(rows, headers, floatfmt=".1f", missingval="–")
    notes = [f"{printable(one.video)}: {text}" for one in found for text in one.warnings]
    return "\n".join([table, *notes, *(_curve(one) for one in found if one.curve)])


def as_json(found: Sequence[VideoScore]) -> str:
    """One list."""
    return json.dumps([one.as_json() for one in found], indent=2)


def as_json_line(one: VideoScore) -> str:
    """Without a line's end."""
    return json.dumps(one.as_json())


def as_csv(found: Sequence[VideoScore]) -> str:
    """One row for each video; `curve`, `worst` and `answers` in JSON, warnings with semicolons between."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(VideoScore.__annotations__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_cells(one) for one in found)
    return text.getvalue().rstrip("\n")


def _cells(one: VideoScore) -> dict[str, Any]:
    row = one.as_json()
    nested = {name: json.dumps(row[name]) if row[name] else "" for name in ("curve", "worst", "answers")}
    return {**row, **nested, "warnings": "; ".join(one.warnings)}


def _interval(one: VideoScore) -> str:
    return "–" if one.low is None or one.high is None else f"{one.low:.0f}–{one.high:.0f}"


def _curve(one: VideoScore) -> str:
    """Of a line of blocks for the eye, with the lowest and the highest score."""
    scores = [moment.score for moment in one.curve]
    worst, best = one.worst, max(one.curve, key=lambda moment: moment.score)
    assert worst is not None
    blocks = "".join(_BLOCKS[min(int(score / 100 * len(_BLOCKS)), len(_BLOCKS) - 1)] for score in scores)
    return f"{printable(one.video)}: {blocks}  worst {_at(worst)}, best {_at(best)}"


_BLOCKS = "▁▂▃▄▅▆▇█"


def _at(moment: Moment) -> str:
    return f"{moment.score:.1f} at {clock(moment.start)}"


def clock(seconds: float) -> str:
    """As 1:02:03.5 or 0:04."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    shown = f"{rest:04.1f}".removesuffix(".0")
    return f"{hours}:{minutes:02d}:{shown}" if hours else f"{minutes}:{shown}"
