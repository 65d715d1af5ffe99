from pathlib import Path

import pytest
import torch
from random_models import SHAPES, Question, asked, videos
from tiny_language import small_model

from config.load import load_settings
from config.schema import LoraSettings
from train.data.branches import branch_tokens, token_shape
from train.model.build import build_model
from train.model.decoder import add_lora


def test_the_sequence_is_prompt_spatial_block_temporal_block_question() -> None:
    model = small_model(SHAPES)
    tokens = model.visual_tokens(videos(3, 1))
    assert [len(t) for t in tokens] == [3 * 5 + 3 * 2, 5 + 2]
    spatial = model.projectors["spatial"](videos(3, 1)[0]["spatial"]).flatten(0, 1)
    assert torch.equal(tokens[0][:15], spatial)


def test_interleaved_tokens_come_in_the_order_in_which_chunks_begin() -> None:
    model = small_model(SHAPES)
    blocks = model.visual_tokens(videos(3))[0]
    spatial, temporal = blocks[:15].split(5), blocks[15:].split(2)
    model.token_order = "interleaved"
    by_second = [part for pair in zip(spatial, temporal, strict=True) for part in pair]
    assert torch.equal(model.visual_tokens(videos(3))[0], torch.cat(by_second))
    uneven = {"spatial": videos(4)[0]["spatial"], "temporal": videos(2)[0]["temporal"]}
    s, t = ([chunk.flatten(0, -2) for chunk in model.projectors[name](uneven[name])] for name in SHAPES)
    expected = torch.cat([s[0], t[0], s[1], s[2], t[1], s[3]])
    torch.testing.assert_close(model.visual_tokens([uneven])[0], expected)


def test_the_loss_of_each_question_is_in_the_order_of_the_questions() -> None:
    model = small_model(SHAPES)
    questions = [Question(1, "level", 0, "fair"), Question(0, "score", 2, 7), Question(1, "score", 0, 50)]
    losses = model(videos(2, 3), asked(model, questions))
    assert losses.shape == (3,) and losses.dtype == torch.float32
    torch.testing.assert_close(losses, torch.cat([model(videos(2, 3), asked(model, [q])) for q in questions]))


def test_only_the_projectors_train() -> None:
    model = small_model(SHAPES)
    model(videos(2), asked(model, [Question(0, "score", 0, 50)])).sum().backward()
    assert all(p.grad is None for p in model.decoder.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.projectors.parameters())
    assert set(model.trainable_parameters()) == {"spatial", "temporal"}


def test_with_lora_the_adapter_trains_too_and_the_decoder_stays_frozen() -> None:
    model = small_model(SHAPES)
    add_lora(model.decoder, LoraSettings(rank=2))
    model.train()
    model(videos(2), asked(model, [Question(0, "score", 0, 50)])).sum().backward()
    for name, parameter in model.decoder.named_parameters():
        assert (parameter.grad is not None) == ("lora_" in name)
    assert set(model.trainable_parameters()) == {"spatial", "temporal", "lora"}


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
        model = build_model(pipeline, {"score": settings.tasks["score"]}, shapes)
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
