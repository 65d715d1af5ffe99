"""Soft targets and the expected score's error: what they add to the answer's cross-entropy."""

import pytest
import torch
from random_models import SHAPES, Question, asked, videos
from tiny_language import quality_tasks, small_model

from config.schema import TargetSettings
from train.answers.loss import AnswerLoss, soft_scores
from train.answers.space import AnswerSpace
from train.errors import TrainError
from train.inference.reading import Reading

POINTS = torch.arange(101.0)


def test_soft_targets_sum_to_one_and_peak_at_the_score() -> None:
    soft = soft_scores(torch.tensor([0.0, 50.0, 72.4, 100.0]), 3.0, POINTS)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(4))
    assert soft.argmax(dim=1).tolist() == [0, 50, 72, 100]
    assert soft_scores(torch.tensor([50.0]), 1e-3, POINTS)[0, 50] == 1.0
    mean = soft_scores(torch.tensor([72.4]), 3.0, POINTS)[0] @ torch.arange(101.0)
    assert mean.item() == pytest.approx(72.4, abs=1e-3)


def test_soft_targets_change_only_the_score_tokens_part_of_the_loss() -> None:
    hard, soft, sharp = (small_model(SHAPES, targets=TargetSettings(sigma=s)) for s in (0.0, 3.0, 1e-3))
    level, score = [Question(0, "level", 0, "good")], [Question(0, "score", 0, 40)]
    assert torch.equal(hard(videos(3), asked(hard, level)), soft(videos(3), asked(soft, level)))
    assert not torch.equal(hard(videos(3), asked(hard, score)), soft(videos(3), asked(soft, score)))
    torch.testing.assert_close(sharp(videos(3), asked(sharp, score)), hard(videos(3), asked(hard, score)))


@torch.no_grad()
def test_the_expected_scores_error_is_added_to_the_score_tokens_loss() -> None:
    plain, added = (small_model(SHAPES, targets=TargetSettings(expected_weight=w)) for w in (0.0, 3.0))
    video, question = videos(3), [Question(0, "score", 0, 72.4)]
    more = added(video, asked(added, question)) - plain(video, asked(plain, question))
    (visual,) = plain.visual_tokens(video)
    expected = Reading(plain, visual, ["score"]).probabilities("score") @ torch.arange(101.0)
    tokens = len(plain.prompts.answer_ids("score", 72)) + 1
    assert more.item() * tokens == pytest.approx(3.0 * 0.5 * ((expected.item() - 72.4) / 10) ** 2, rel=1e-4)
    level = [Question(0, "level", 0, "good")]
    assert torch.equal(plain(video, asked(plain, level)), added(video, asked(added, level)))


@pytest.mark.parametrize("settings", [TargetSettings(sigma=3), TargetSettings(expected_weight=1)])
def test_scores_of_several_tokens_have_no_soft_targets(settings: TargetSettings) -> None:
    digits = AnswerSpace.of([tuple(map(int, str(score))) for score in range(101)], end=10)
    score = {"score": quality_tasks()["score"]}
    assert AnswerLoss(score, {"score": digits}, 10, TargetSettings()) is not None
    with pytest.raises(TrainError, match=r"several tokens.*training\.targets\.sigma = 0"):
        AnswerLoss(score, {"score": digits}, 10, settings)
