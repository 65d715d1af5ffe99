"""What the forms of answers allow: how a value is written, which answers there are, how a text is read."""

import re
from collections.abc import Mapping

from config.schema import Form, NumberForm, TaskSettings, TextForm

Value = float | str
"""A number within the form's range, or a word."""


def written(form: Form, value: Value) -> str:
    """The value as an answer states it: a number with as many decimals as the form says."""
    return f"{value:.{form.decimals}f}" if isinstance(form, NumberForm) else str(value)


def options(form: Form) -> list[tuple[str, str]]:
    """First and last text of each answer that has a probability, in the order of values; of free text none.

    Of numbers with decimals, those that begin with the same whole number are one.
    """
    if isinstance(form, TextForm):
        return []
    if not isinstance(form, NumberForm):
        return [(word, word) for word in form.words]
    last = 1 - 10.0**-form.decimals
    lows = range(form.low, form.high + 1)
    return [(written(form, low), written(form, low + last if low < form.high else low)) for low in lows]


def values(form: Form) -> tuple[float, ...] | None:
    """What each option counts for: a number itself, or the middle of those that are one; a word its score.

    None where words have no scores, and of free text.
    """
    if isinstance(form, TextForm):
        return None
    if not isinstance(form, NumberForm):
        scores = [score for score in form.words.values() if score is not None]
        return tuple(scores) or None
    middle = (1 - 10.0**-form.decimals) / 2
    return (*(number + middle for number in range(form.low, form.high)), float(form.high))


def read(form: Form, text: str) -> Value | None:
    """The value that a written answer states; None where it states none, or several (a parse failure)."""
    if isinstance(form, TextForm):
        return text
    if isinstance(form, NumberForm):
        if form.parse == "released":
            return _as_released(text)
        numbers = [float(number) for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])", text)]
        return numbers[0] if len(numbers) == 1 and form.low <= numbers[0] <= form.high else None
    # A letter is itself alone; words of small letters may be written with large ones. Long ones come first.
    each = [f"(?i:{re.escape(w)})" if w.islower() else re.escape(w) for w in form.words]
    found = re.findall(rf"(?<!\w)(?:{'|'.join(sorted(each, key=len, reverse=True))})(?!\w)", text)
    named = {word for word in form.words for part in found if word.lower() == part.lower()}
    return named.pop() if len(named) == 1 else None


def fails(form: Form, text: str) -> bool:
    """Whether a written answer is a parse failure, even where the settings make something of it."""
    strict = form.model_copy(update={"parse": "strict"}) if isinstance(form, NumberForm) else form
    return read(strict, text) is None


def _as_released(text: str) -> float:
    """Some number of any text, as LMM-VQA's released code makes it (metric_csv.py, with numpy 1).

    The first number, if the text has one dot and it is between 0 and 100; else all digits together, with the
    point behind the second; 60 where there are none, where the first are zeros, or where that is not between
    10 and 100.
    """
    runs, joined = re.findall(r"\d+", text), "".join(re.findall(r"\d", text)).lstrip("0")
    if not runs or not runs[0].strip("0"):
        return 60.0
    whole, rest = joined[:2], joined[2:]
    if text.count(".") == 0:
        return float(whole)
    found = float(f"{whole}.{rest or 0}")
    if text.count(".") > 1:
        return found
    first = re.search(r"\d+\.?\d*|\.\d+", text)
    assert first is not None
    if 0 < float(first[0]) < 100:
        return float(first[0])
    return found if 10 < found < 100 else 60.0


def on_form(task: TaskSettings, score: float) -> float:
    """An opinion score on 0–100, or a number of the task's column, on the scale of its answers."""
    form = task.form
    assert isinstance(form, NumberForm)
    low, high = (0.0, 100.0) if task.scores else task.label_range or (form.low, form.high)
    return form.low + (form.high - form.low) * (score - low) / (high - low)


def as_score(form: Form, value: float) -> float:
    """What an expected value comes to on 0–100; words' scores are there already."""
    return 100 * (value - form.low) / (form.high - form.low) if isinstance(form, NumberForm) else value


def scored(tasks: Mapping[str, TaskSettings]) -> str | None:
    """The first task whose answers give an opinion score."""
    return next((name for name, task in tasks.items() if task.scores), None)
