"""The loss of an answer: cross-entropy of its tokens, and what a number's distribution may add to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from config.schema import NumberForm, TargetSettings, TaskSettings
from train.answers.chat import Answer
from train.answers.forms import values
from train.answers.space import AnswerSpace
from train.errors import TrainError

_TENTHS = 10.0
"""The unit of the expected number's error, as parts of the range."""


class AnswerLoss:
    """Cross-entropy of each conversation's answers (eq. 10 of LMM-VQA), averaged over their tokens.

    With `sigma`, a number's token is compared with a Gaussian over its neighbours instead of with itself
    alone. With `expected_weight`, half the squared error of the expected number, in tenths of its range, is
    added. Raises TrainError where either is asked for and the tokenizer does not write each number as one
    token.
    """

    def __init__(
        self,
        tasks: Mapping[str, TaskSettings],
        spaces: Mapping[str, AnswerSpace],
        end: int,
        settings: TargetSettings,
    ) -> None:
        """`spaces`: task → its answers. `end`: the token that ends a turn."""
        self._settings = settings
        self._end = end
        shaped = settings.sigma > 0 or settings.expected_weight > 0
        forms = {name: task.form for name, task in tasks.items() if isinstance(task.form, NumberForm)}
        self._numbers = {
            name: _Numbers.of(name, spaces[name], form) for name, form in forms.items() if shaped
        }

    def __call__(self, logits: torch.Tensor, answers: Sequence[Sequence[Answer]]) -> torch.Tensor:
        """[conversations] from logits [A, vocabulary] of all their answers, each with its end of turn."""
        tokens, sizes = list[int](), list[int]()
        found: dict[str, list[tuple[int, float]]] = {}
        for conversation in answers:
            for answer in conversation:
                if answer.target is not None and answer.target.task in self._numbers:
                    name = answer.target.task
                    place = len(tokens) + self._numbers[name].lead
                    found.setdefault(name, []).append((place, float(answer.target.value)))
                tokens += (*answer.ids, self._end)
            sizes.append(len(tokens) - sum(sizes))
        losses = functional.cross_entropy(
            logits, torch.tensor(tokens, device=logits.device), reduction="none"
        )  # [A]
        for name, pairs in found.items():
            at = torch.tensor([place for place, _ in pairs], device=logits.device)
            wanted = torch.tensor([value for _, value in pairs], device=logits.device)
            shaped = self._shaped(self._numbers[name], logits[at], losses[at], wanted)
            losses = losses.index_copy(0, at, shaped)
        return torch.stack([each.mean() for each in losses.split(sizes)])

    def _shaped(
        self, numbers: "_Numbers", logits: torch.Tensor, plain: torch.Tensor, wanted: torch.Tensor
    ) -> torch.Tensor:
        """Of numbers' tokens alone: logits [S, vocabulary], their cross-entropy [S], values [S] → [S]."""
        sigma, weight = self._settings.sigma, self._settings.expected_weight
        losses, values = plain, numbers.values.to(logits.device)
        if sigma > 0:
            log_p = logits.log_softmax(dim=-1)[:, numbers.tokens]  # [S, N]
            soft = soft_scores(wanted, sigma * numbers.span / 100, values)
            losses = -(soft * log_p).sum(dim=-1)
        if weight > 0:
            expected = logits[:, numbers.tokens].softmax(dim=-1) @ values.to(logits)
            losses = losses + weight * 0.5 * ((expected - wanted) * _TENTHS / numbers.span) ** 2
        return losses


@dataclass(frozen=True)
class _Numbers:
    """The answers of a task of numbers."""

    lead: int
    """Tokens before the number's."""
    tokens: list[int]
    values: torch.Tensor
    span: int

    @classmethod
    def of(cls, task: str, space: AnswerSpace, form: NumberForm) -> "_Numbers":
        if not space.single_token:
            raise TrainError(
                f"the decoder's tokenizer writes numbers of the task {task!r} in several tokens, which soft"
                " targets cannot be spread over: set training.targets.sigma = 0 and"
                " training.targets.expected_weight = 0"
            )
        numbers = torch.tensor(values(form))
        return cls(len(space.lead), [tail[0] for tail in space.tails], numbers, form.high - form.low)


def soft_scores(scores: torch.Tensor, sigma: float, values: torch.Tensor) -> torch.Tensor:
    """Gaussians of width sigma around the scores [S], over the values [N], that sum to one: [S, N]."""
    distance = values - scores[:, None]
    return (-0.5 * (distance / sigma) ** 2).softmax(dim=-1)
