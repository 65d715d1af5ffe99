"""The loss of an answer: cross-entropy of its tokens, and what the score's distribution may add to it."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from config.schema import TargetSettings
from train.answers.chat import Answer
from train.answers.space import AnswerSpace
from train.errors import TrainError

_POINTS = 10.0
"""The unit of the expected score's error."""


class AnswerLoss:
    """Cross-entropy of each conversation's answers (eq. 10 of LMM-VQA), averaged over their tokens.

    With `sigma`, the score's token is compared with a Gaussian over its neighbours instead of with itself
    alone. With `expected_weight`, half the squared error of the expected score, in tens of points, is added.
    Raises TrainError where either is asked for and the tokenizer does not write each score as one token.
    """

    def __init__(
        self, space: AnswerSpace, values: Sequence[float], end: int, settings: TargetSettings
    ) -> None:
        """`space`, `values`: of the scores. `end`: the token that ends a turn."""
        self._settings = settings
        self._values = torch.tensor(values)
        self._end = end
        self._lead = len(space.lead)
        self._tokens = [tail[0] for tail in space.tails]
        """Of the scores 0–100."""
        self._shaped = settings.sigma > 0 or settings.expected_weight > 0
        if self._shaped and not space.single_token:
            raise TrainError(
                "the decoder's tokenizer writes scores in several tokens, which soft targets cannot be spread"
                " over: set training.targets.sigma = 0 and training.targets.expected_weight = 0"
            )

    def __call__(self, logits: torch.Tensor, answers: Sequence[Sequence[Answer]]) -> torch.Tensor:
        """[conversations] from logits [A, vocabulary] of all their answers, each with its end of turn."""
        tokens, sizes = list[int](), list[int]()
        places, scores = list[int](), list[float]()
        for conversation in answers:
            for answer in conversation:
                if answer.target is not None and answer.target.task == "score":
                    places.append(len(tokens) + self._lead)
                    scores.append(float(answer.target.value))
                tokens += (*answer.ids, self._end)
            sizes.append(len(tokens) - sum(sizes))
        losses = functional.cross_entropy(
            logits, torch.tensor(tokens, device=logits.device), reduction="none"
        )  # [A]
        if self._shaped and places:
            at = torch.tensor(places, device=logits.device)
            wanted = torch.tensor(scores, device=logits.device)
            losses = losses.index_copy(0, at, self._score_losses(logits[at], losses[at], wanted))
        return torch.stack([each.mean() for each in losses.split(sizes)])

    def _score_losses(self, logits: torch.Tensor, plain: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Of the score tokens alone: logits [S, vocabulary], their cross-entropy [S], scores [S] → [S]."""
        sigma, weight = self._settings.sigma, self._settings.expected_weight
        losses = plain
        if sigma > 0:
            log_p = logits.log_softmax(dim=-1)[:, self._tokens]  # [S, 101]
            losses = -(soft_scores(scores, sigma, self._values.to(scores.device)) * log_p).sum(dim=-1)
        if weight > 0:
            expected = logits[:, self._tokens].softmax(dim=-1) @ self._values.to(logits)
            losses = losses + weight * 0.5 * ((expected - scores) / _POINTS) ** 2
        return losses


def soft_scores(scores: torch.Tensor, sigma: float, values: torch.Tensor) -> torch.Tensor:
    """Gaussians of width sigma around the scores [S], over the values [101], that sum to one: [S, 101]."""
    distance = values - scores[:, None]
    return (-0.5 * (distance / sigma) ** 2).softmax(dim=-1)
