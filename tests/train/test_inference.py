"""One pass over a video gives what uncached passes and Hugging Face's own greedy decoding give."""

from pathlib import Path

import pytest
import torch
from random_models import SHAPES, digit_by_digit, model_of, uncached, videos
from tiny_language import WIDTH, quality_tasks, small_decoder
from transformers import DynamicCache

from config.schema import ProjectorSettings
from train.answers.prompts import PromptBuilder
from train.inference.predict import expected_scores, predict
from train.inference.reading import Reading, answer
from train.model.llama3_tokenizer import load_llama3_tokenizer
from train.model.projectors import Projector
from train.model.quality import QualityModel, embedding_table

TASKS = ("score", "level")
SCORES, LEVELS = tuple(range(101)), ("poor", "fair", "good")


def uncached_probabilities(model: QualityModel, visual: torch.Tensor, task: str) -> torch.Tensor:
    """The definition: every answer by itself, a product over its tokens among those that may stand there."""
    space, probabilities = model.spaces[task], []
    for tail in space.tails:
        p = 1.0
        for n in range(len(tail)):
            may = sorted({t[n] for t in space.tails if t[:n] == tail[:n] and len(t) > n})
            if len(may) > 1:
                logits = uncached(model, visual, task, (*space.lead, *tail[:n]))
                p *= float(logits[may].softmax(dim=0)[may.index(tail[n])])
        probabilities.append(p)
    return torch.tensor(probabilities)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("spelled", [False, True])
def test_probabilities_of_one_pass_are_those_of_whole_sequences(kind: str, spelled: bool) -> None:
    model = digit_by_digit(model_of(kind)) if spelled else model_of(kind)
    assert model.spaces["score"].single_token != spelled
    (visual,) = model.visual_tokens(videos(2))
    reading = Reading(model, visual, TASKS)
    for task, values in (("score", SCORES), ("level", LEVELS)):
        probabilities = reading.probabilities(task)  # type: ignore[arg-type]
        assert probabilities.shape == (len(values),)
        assert probabilities.sum().item() == pytest.approx(1.0, abs=1e-5)
        expected = uncached_probabilities(model, visual, task)  # type: ignore[arg-type]
        torch.testing.assert_close(probabilities, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("seed", range(3))
def test_written_answers_are_hugging_faces_greedy_ones(kind: str, seed: int) -> None:
    model = model_of(kind, initializer_range=0.3)
    torch.manual_seed(seed)
    visual = torch.randn(9, WIDTH)
    texts = answer(model, visual, TASKS)
    table = embedding_table(model.decoder)
    for task in TASKS:
        prompt = model.prompts.prompt(task)
        parts = [table(torch.tensor(prompt.before)), visual, table(torch.tensor(prompt.after))]
        out = model.decoder.generate(  # type: ignore[operator]
            inputs_embeds=torch.cat(parts)[None],
            max_new_tokens=model.prompts.answer_tokens(task) + 16,
            do_sample=False,
            eos_token_id=model.prompts.chat.end_of_turn,
            pad_token_id=model.prompts.chat.end_of_turn,
        )
        assert texts[task].text == model.prompts.chat.text(out[0].tolist())


@torch.inference_mode()
def test_writing_follows_the_tree_and_asks_again_only_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    (visual,) = model.visual_tokens(videos(2))
    space, end = model.spaces["score"], model.prompts.chat.end_of_turn
    reading = Reading(model, visual, ["score"])
    reading._logits = reading._logits.clone()
    asked = reading._asked["score"]
    for token, follows in enumerate((*space.lead, space.tails[63][0])):  # the model is made to write 63
        reading._logits[reading._read[asked + token]] = torch.eye(reading._logits.shape[1])[follows]
    calls = []
    original = model.packed.continued

    def once(*arguments: object) -> torch.Tensor:
        calls.append(original(*arguments))  # type: ignore[arg-type]
        return torch.eye(calls[-1].shape[1])[[end]]

    monkeypatch.setattr(model.packed, "continued", once)
    assert reading.texts() == {"score": model.prompts.answer("score", 63)}
    assert len(calls) == 1


def test_a_video_is_read_in_one_pass_whatever_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = digit_by_digit(model_of())
    lengths: list[int] = []
    original = model.packed.logits

    def counted(*arguments: object) -> torch.Tensor:
        lengths.append(arguments[1].shape[1])  # type: ignore[attr-defined]
        assert isinstance(arguments[4], DynamicCache)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(model.packed, "logits", counted)
    predict(model, videos(2))
    (visual,) = model.visual_tokens(videos(2))
    prompts = [model.prompts.prompt(task) for task in TASKS]
    leads = [len(model.spaces[task].lead) for task in TASKS]
    forks = 9 + 1  # behind the first digits 1–9, and behind 10
    assert lengths == [
        len(prompts[0].before) + len(visual) + sum(len(p.after) for p in prompts) + sum(leads) + forks
    ]


def test_predictions_do_not_depend_on_the_batch_by_a_single_bit() -> None:
    model = model_of()
    batch = videos(3, 1, 5, 2)
    together = predict(model, batch)
    assert together == [predict(model, [video])[0] for video in batch]
    visual = [model.visual_tokens([video])[0] for video in batch]
    assert expected_scores(model, visual) == [expected_scores(model, [tokens])[0] for tokens in visual]


@pytest.mark.slow
def test_llama3s_own_tokenizer_gives_scores_that_sum_to_one(shared_data: Path) -> None:
    folder = shared_data / "tokenizers" / "llama3"
    if not folder.is_dir():
        pytest.skip("Llama-3's tokenizer (../shared/data/tokenizers/llama3) is not on this machine")
    prompts = PromptBuilder(load_llama3_tokenizer(folder), quality_tasks())
    projectors = {
        n: Projector(ProjectorSettings(kind="mlp"), *shape, WIDTH, 1.0) for n, shape in SHAPES.items()
    }
    model = QualityModel(small_decoder(128_256), prompts, projectors).eval()
    (visual,) = model.visual_tokens(videos(2))
    reading = Reading(model, visual, TASKS)
    assert all(model.spaces[task].single_token for task in TASKS)
    for task in TASKS:
        assert reading.probabilities(task).sum().item() == pytest.approx(1.0, abs=1e-5)
        expected = uncached_probabilities(model, visual, task)
        torch.testing.assert_close(reading.probabilities(task), expected, atol=1e-5, rtol=1e-4)


def test_prompts_that_differ_before_the_video_are_read_apart_with_the_same_answers() -> None:
    model = model_of()
    (visual,) = model.visual_tokens(videos(2))
    model.prompts.chat.template = (
        "{{ '<bos>' }}{% if 'score' in messages[-1]['content'] %}{{ '<|system|>' }}{% endif %}"
        "{{ messages[-1]['content'] }}{{ '<|assistant|>' }}"
    )
    answers = answer(model, visual, TASKS)
    for task in TASKS:
        expected = uncached_probabilities(model, visual, task)
        torch.testing.assert_close(answers[task].probabilities, expected, atol=1e-5, rtol=1e-4)
