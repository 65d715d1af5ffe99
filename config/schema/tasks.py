"""`[tasks.NAME]`: what a model is asked, the answers that are allowed, and where the true ones stand."""

import json
from itertools import pairwise
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from config.schema.entry import Entry

MOS = "mos"
"""The label of the tasks that ask for opinion scores."""


class NumberForm(Entry):
    """A number, read as a distribution over the whole numbers from `low` to `high`."""

    kind: Literal["number"]
    low: int = Field(0, ge=0)
    high: int = Field(100, le=1000)
    decimals: int = Field(0, ge=0, le=6)
    """As it is written. With any, the distribution is over the whole numbers before them."""
    parse: Literal["strict", "released"] = "strict"
    """How a written answer is read: an answer that does not state one number in the range is a parse failure;
    `released` makes some number of it, often 60, as LMM-VQA's code does, and it is counted all the same."""

    @model_validator(mode="after")
    def _has_numbers(self) -> "NumberForm":
        if self.low >= self.high:
            raise ValueError(f"low = {self.low}, high = {self.high}: expected a higher `high`")
        if self.parse == "released" and (self.low, self.high) != (0, 100):
            raise ValueError("parse = 'released' makes numbers of 0–100: expected low = 0 and high = 100")
        return self


class WordsForm(Entry):
    """One of several words, letters or phrases."""

    kind: Literal["words"]
    words: dict[str, float | None] = Field(min_length=2)
    """Word → the score on 0–100 that it counts for in an expected score; a list gives words without, which
    stand from the worst to the best where they are for opinion scores."""
    cut_at: Literal["quantiles", "scores"] = "quantiles"
    """What `cuts` are, which turn opinion scores into words: shares of the training videos, or scores on
    0–100."""
    cuts: tuple[float, ...] = ()
    """One fewer than words, rising; a score on a cut has the word below it. None: parts of equal count, or of
    equal width."""
    between: Literal["scale", "training"] | tuple[float, float] = "scale"
    """Equal widths are of 0–100, of what the training scores span, or of a range on 0–100 that is named, as
    published words differ in it; what lies outside has the first or the last word."""

    @field_validator("words", mode="before")
    @classmethod
    def _from_a_list(cls, words: Any) -> Any:
        if isinstance(words, list | tuple):
            return dict.fromkeys(words)
        if isinstance(words, dict):  # `false` drops an inherited word
            words = {word: score for word, score in words.items() if score is not False}
            if all(isinstance(score, int | float) for score in words.values()):
                return dict(sorted(words.items(), key=lambda each: each[1]))
        return words

    @model_validator(mode="after")
    def _words_and_cuts_fit(self) -> "WordsForm":
        without = [word for word, weight in self.words.items() if weight is None]
        if 0 < len(without) < len(self.words):
            raise ValueError(f"{', '.join(without)} without a score: give one to every word, or to none")
        if len({word.lower() for word in self.words}) < len(self.words) or not all(
            map(str.strip, self.words)
        ):
            raise ValueError(f"the words {', '.join(self.words)} are not all different and not empty")
        bounds = self.between if isinstance(self.between, tuple) else (0, 100)
        if not 0 <= bounds[0] < bounds[1] <= 100:
            raise ValueError(f"between = {list(bounds)}: expected two rising numbers of 0–100")
        if self.between != "scale" and (self.cuts or self.cut_at == "quantiles"):
            raise ValueError("between is for cut_at = scores without cuts: leave out one")
        if self.cuts:
            highest = 1 if self.cut_at == "quantiles" else 100
            inner = (0, *self.cuts, highest)
            if len(self.cuts) != len(self.words) - 1 or any(low >= high for low, high in pairwise(inner)):
                raise ValueError(
                    f"cuts = {list(self.cuts)}: expected {len(self.words) - 1} rising numbers between 0 and"
                    f" {highest}, for {len(self.words)} words"
                )
        return self


class TextForm(Entry):
    """Free text."""

    kind: Literal["text"]
    max_tokens: int = Field(256, ge=1)
    """Generation stops there."""


_RESERVED = ("video", "mos", "score", "std", "score_generate", "level", "text")

Form = NumberForm | WordsForm | TextForm


class TaskSettings(Entry):
    """One question about a video, with its answer."""

    name: str
    system: str
    questions: tuple[str, ...] = Field(min_length=1)
    """Phrasings: training draws one at random, evaluation always asks the first. Or a JSON file (`./….json`)
    that is a list of them, such as LMM-VQA's own; a run keeps what was in it."""
    restriction: str = ""
    """The form that the answer must have, said behind the question."""
    answer: str = "{value}"
    """The answer, with `{value}` in it."""
    form: Annotated[Form, Field(discriminator="kind")]
    label: str = MOS
    """Where the true answer stands: `mos`, the opinion score, or the name of a column of the label files."""
    label_range: tuple[float, float] | None = None
    """Of a column of numbers: what answers are `low` and `high`. None: the same numbers."""
    read: Literal["probabilities", "text", "both"] = "both"
    """How an answer is read: from the probabilities of all that are allowed, from the text that is written,
    or both ways. Free text is read as it is written."""

    @field_validator("questions", mode="before")
    @classmethod
    def _read_from_a_file(cls, questions: Any) -> Any:
        if not isinstance(questions, str):
            return questions
        try:
            found = json.loads(Path(questions).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{questions} cannot be read as JSON: {error}") from error
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise ValueError(f"{questions}: expected a JSON list of texts")
        return found

    @field_validator("answer")
    @classmethod
    def _answer_states_the_value(cls, answer: str) -> str:
        if [name for _, name, _, _ in Formatter().parse(answer) if name is not None] != ["value"]:
            raise ValueError(f"{answer!r}: expected {{value}} in it, once, and no other")
        return answer

    @model_validator(mode="after")
    def _parts_fit(self) -> "TaskSettings":
        if isinstance(self.form, TextForm) and self.read == "probabilities":
            raise ValueError("read = 'probabilities' is of numbers or words: free text has none")
        if self.label_range is not None and (self.label == MOS or self.label_range[0] == self.label_range[1]):
            raise ValueError("label_range: expected (worst, best) of a column, two different numbers")
        if self.label != MOS and self.name in _RESERVED:
            raise ValueError(f"{self.name!r} is a column of predictions.csv: choose another name")
        if isinstance(self.form, TextForm) and self.label == MOS:
            raise ValueError(
                "label = 'mos' is a number: name the column of the label files that has the text"
            )
        return self

    @property
    def scores(self) -> bool:
        """Whether the answers give an opinion score."""
        if self.label != MOS:
            return False
        return isinstance(self.form, NumberForm) or (
            isinstance(self.form, WordsForm) and None not in self.form.words.values()
        )

    @property
    def levels(self) -> bool:
        """Whether the answers are words for opinion scores."""
        return self.label == MOS and isinstance(self.form, WordsForm)
