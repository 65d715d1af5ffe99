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
        numbers = [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w])", text)]
        return numbers[0] if len(numbers) == 1 and form.low <= numbers[0] <= form.high else None
    # A letter is itself alone; words of small letters may be written with large ones. Long ones come first.
    each = [f"(?i:{re.escape(w)})" if w.islower() else re.escape(w) for w in form.words]
    found = re.findall(rf"(?<!\w)(?:{'|'.join(sorted(each, key=len, reverse=True))})(?!\w)", text)
    named = {word for word in form.words for part in found if word.lower() == part.lower()}
    return named.pop() if len(named) == 1 else None


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
