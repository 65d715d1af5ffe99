from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_language import small_model
from torch.nn import functional

from config.load import load_settings
from config.schema import LoraSettings
from train.answers import SCORES, AnswerSpace
from train.branch import branch_tokens, token_shape
from train.build import build_model
from train.decoder import add_lora
from train.levels import LevelCuts
from train.model import QualityModel, Question, soft_scores
from train.predict import predict

SHAPES = {"spatial": (5, 7), "temporal": (2, 3)}
CUTS = LevelCuts(33.0, 66.0)


def videos(*lengths: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [
        {name: torch.randn(k, *shape, generator=generator) for name, shape in SHAPES.items()} for k in lengths
    ]


def plain_loss(model: QualityModel, video: dict[str, torch.Tensor], question: Question) -> torch.Tensor:
    """One unpadded sequence with full logits: the plain way."""
    prompt = model.prompts.prompt(question.task, question.phrasing)
    answer = [*model.prompts.answer_ids(question.task, question.value), model.prompts.end_of_turn]
    table = model.decoder.get_input_embeddings()
    visual = [model.projectors[name](video[name]).flatten(0, 1) for name in ("spatial", "temporal")]
    parts = [table(torch.tensor(prompt.before)), *visual, table(torch.tensor([*prompt.after, *answer]))]
    logits = model.decoder(inputs_embeds=torch.cat(parts)[None]).logits[0]
    return functional.cross_entropy(logits[-len(answer) - 1 : -1], torch.tensor(answer))


def test_the_sequence_is_prompt_spatial_block_temporal_block_question() -> None:
    model = small_model(SHAPES)
    tokens = model.visual_tokens(videos(3, 1))
    assert [len(t) for t in tokens] == [3 * 5 + 3 * 2, 5 + 2]
    spatial = model.projectors["spatial"](videos(3, 1)[0]["spatial"]).flatten(0, 1)
    assert torch.equal(tokens[0][:15], spatial)


def test_a_padded_batch_has_the_loss_and_gradients_of_plain_sequences() -> None:
    model = small_model(SHAPES)
    batch = videos(3, 1, 4)
    questions = [
        Question(0, "score", 0, 63),
        Question(0, "level", 1, "fair"),
        Question(1, "score", 2, 5),
        Question(2, "level", 0, "poor"),
    ]
    loss = model(batch, questions).mean()
    loss.backward()
    gradients = [p.grad.clone() for p in model.projectors.parameters() if p.grad is not None]
    model.zero_grad()
    plain = torch.stack([plain_loss(model, batch[q.video], q) for q in questions]).mean()
    plain.backward()
    assert loss.item() == pytest.approx(plain.item(), abs=1e-5)
    for got, parameter in zip(gradients, model.projectors.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(got, parameter.grad, atol=1e-5, rtol=1e-4)


def test_only_the_projectors_train() -> None:
    model = small_model(SHAPES)
    model(videos(2), [Question(0, "score", 0, 50)]).sum().backward()
    assert all(p.grad is None for p in model.decoder.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.projectors.parameters())
    assert set(model.trainable_parameters()) == {"spatial", "temporal"}


def test_with_lora_the_adapter_trains_too_and_the_decoder_stays_frozen() -> None:
    model = small_model(SHAPES)
    add_lora(model.decoder, LoraSettings(rank=2))
    model.train()
    model(videos(2), [Question(0, "score", 0, 50)]).sum().backward()
    for name, parameter in model.decoder.named_parameters():
        assert (parameter.grad is not None) == ("lora_" in name)
    assert set(model.trainable_parameters()) == {"spatial", "temporal", "lora"}


def test_predictions_do_not_depend_on_the_batch() -> None:
    model = small_model(SHAPES)
    batch = videos(3, 1, 5)
    together = predict(model, batch, CUTS, ["score", "level"])
    for video, expected in zip(batch, together, strict=True):
        alone = predict(model, [video], CUTS, ["score", "level"])[0]
        assert alone.score == pytest.approx(expected.score, abs=1e-3)
        assert replace(alone, score=0, std=0) == replace(expected, score=0, std=0)


def test_score_probabilities_are_one_softmax_over_the_score_tokens() -> None:
    model = small_model(SHAPES)
    visual = model.visual_tokens(videos(2))
    probabilities = model.answer_probabilities(visual, "score")
    assert probabilities.shape == (1, 101)
    assert probabilities.sum().item() == pytest.approx(1.0, abs=1e-5)
    prompt, space = model.prompts.prompt("score"), model.spaces["score"]
    table = model.decoder.get_input_embeddings()
    parts = [table(torch.tensor(prompt.before)), visual[0], table(torch.tensor([*prompt.after, *space.lead]))]
    logits = model.decoder(inputs_embeds=torch.cat(parts)[None]).logits[0, -1]
    tokens = [tail[0] for tail in space.tails]
    torch.testing.assert_close(probabilities[0], logits[tokens].softmax(dim=0), atol=1e-5, rtol=1e-4)


def test_a_digit_tokenizer_gets_the_same_distribution_as_a_product_over_its_trie() -> None:
    model = small_model(SHAPES)
    digits = [model.prompts.ids(str(d))[0] for d in range(10)]
    lead = model.spaces["score"].lead
    spelled = [(*lead, *(digits[int(c)] for c in str(score))) for score in SCORES]
    model.spaces["score"] = AnswerSpace.of(spelled, model.prompts.end_of_turn)
    probabilities = model.answer_probabilities(model.visual_tokens(videos(2, 1)), "score")
    assert not model.spaces["score"].single_token
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2))


def test_generated_text_is_the_decoders_own_greedy_choice() -> None:
    model = small_model(SHAPES)
    visual = model.visual_tokens(videos(2))
    prompt = model.prompts.prompt("score")
    table = model.decoder.get_input_embeddings()
    sequence = torch.cat([table(torch.tensor(prompt.before)), visual[0], table(torch.tensor(prompt.after))])
    ids: list[int] = []
    while len(ids) < 6 and model.prompts.end_of_turn not in ids:
        ids.append(int(model.decoder(inputs_embeds=sequence[None]).logits[0, -1].argmax()))
        sequence = torch.cat([sequence, table(torch.tensor(ids[-1:]))])
    with torch.inference_mode():
        assert model.generate(visual, "score", max_new_tokens=6) == [model.prompts.text(ids)]


def test_soft_targets_sum_to_one_and_peak_at_the_score() -> None:
    for score in (0, 50, 100):
        soft = soft_scores(score, 3.0)
        assert soft.sum().item() == pytest.approx(1.0, abs=1e-6) and int(soft.argmax()) == score
    assert soft_scores(50, 1e-3)[50] == 1.0


def test_soft_targets_change_only_the_score_tokens_part_of_the_loss() -> None:
    hard, soft, sharp = (small_model(SHAPES, sigma=sigma) for sigma in (0.0, 3.0, 1e-3))
    level, score = [Question(0, "level", 0, "good")], [Question(0, "score", 0, 40)]
    assert hard(videos(1), level) == soft(videos(1), level)
    assert hard(videos(1), score) != soft(videos(1), score)
    tokens = [tail[0] for tail in sharp.spaces["score"].tails]
    assert len(tokens) == 101 and torch.isfinite(sharp(videos(1), score))


def test_the_papers_model_at_full_size_has_its_token_counts_and_trains_projectors_alone(
    root: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pipeline `lmm-vqa` on a video of 8 s: 256 spatial and 256 temporal tokens a second."""
    decoder = "pipelines.lmm-vqa.decoder"
    settings = load_settings(
        root / "pipelines.toml",
        [f"{decoder}.weights=random:0", f"{decoder}.tokenizer={shared_data / 'tokenizers' / 'llama3'}"],
    )
    pipeline = settings.pipelines["lmm-vqa"]
    stored = {"spatial": (256, 1024), "temporal": (8, 7, 7, 2048)}
    shapes = {name: token_shape(stored[name], branch) for name, branch in pipeline.branches.items()}
    with torch.device("meta"):
        model = build_model(pipeline, settings.prompts["quality"], shapes)
        video = {
            name: branch_tokens(torch.empty(8, *stored[name]), branch)
            for name, branch in pipeline.branches.items()
        }
        (tokens,) = model.visual_tokens([video])
    assert tokens.shape == (8 * (256 + 256), 4096)
    frozen = sum(p.numel() for p in model.decoder.parameters())
    assert frozen == 8_030_261_248
    vit = 4 * (1024 * 1024 + 1024) + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024
    spatial, temporal = vit + 1024 * 4096 + 4096, 2048 * 4096 + 4096
    assert model.trainable_parameters() == {"spatial": spatial, "temporal": temporal}
    prompt = model.prompts.prompt("score")
    text = len(prompt.before) + len(prompt.after) + len(model.prompts.answer_ids("score", 63)) + 1
    with capsys.disabled():
        print(
            f"\nlmm-vqa: {spatial + temporal:,} trainable of {frozen + spatial + temporal:,} parameters;"
            f" {len(tokens):,} visual and {text} text tokens for 8 s"
        )
