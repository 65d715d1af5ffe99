"""Frozen weights in 8 and 4 bits, by bitsandbytes itself, on the CPU."""

from pathlib import Path
from typing import Any

import pytest
import torch
from random_models import Question, asked
from tiny_language import quality_tasks, task_texts
from transformers import BitsAndBytesConfig

from config.schema import DecoderSettings, LoraSettings
from demo.decoder_tokenizer import build_tokenizer
from train.answers.prompts import PromptBuilder
from train.errors import TrainError
from train.inference.predict import expected_scores
from train.model.decoder import add_lora, load_decoder, quantisation
from train.model.projectors import Projector, ProjectorSettings
from train.model.quality import QualityModel

# bitsandbytes says so at every 8-bit product of a dtype other than float16.
pytestmark = pytest.mark.filterwarnings("ignore:MatMul8bitLt", "ignore::DeprecationWarning")
SMALL = {
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.1,
}


def settings(quantised: str, **changes: Any) -> DecoderSettings:
    table = {"weights": "random:0", "architecture": SMALL, "dtype": "bfloat16", "quantised": quantised}
    return DecoderSettings.model_validate({**table, **changes})


def linear_bytes(model: torch.nn.Module) -> int:
    return sum(p.numel() * p.element_size() for name, p in model.named_parameters() if "proj" in name)


def test_without_the_package_the_message_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.model.decoder.find_spec", lambda name: None)  # noqa: ARG005
    with pytest.raises(TrainError, match=r"'4bit' needs bitsandbytes.*pip install .*\[quantised\]"):
        load_decoder(settings("4bit"))


def test_the_settings_ask_for_llm_int8_and_for_nf4_with_double_quantisation() -> None:
    pytest.importorskip("bitsandbytes")
    four, eight = quantisation("4bit", torch.bfloat16), quantisation("8bit", torch.bfloat16)
    assert isinstance(four, BitsAndBytesConfig) and eight.load_in_8bit
    assert (four.bnb_4bit_quant_type, four.bnb_4bit_use_double_quant) == ("nf4", True)
    assert four.bnb_4bit_compute_dtype == torch.bfloat16


@pytest.mark.parametrize(("quantised", "share", "closeness"), [("8bit", 0.51, 0.99), ("4bit", 0.26, 0.9)])
def test_quantised_weights_take_their_share_of_memory_and_answer_nearly_alike(
    tmp_path: Path, quantised: str, share: float, closeness: float
) -> None:
    pytest.importorskip("bitsandbytes")
    whole = load_decoder(settings("none"))
    whole.save_pretrained(tmp_path)
    embeddings = torch.randn(2, 9, 128, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.inference_mode():
        expected = whole(inputs_embeds=embeddings).logits.float().flatten()
    for weights in ("random:0", str(tmp_path)):
        model = load_decoder(settings(quantised, weights=weights))
        assert linear_bytes(model) <= share * linear_bytes(whole)
        with torch.inference_mode():
            found = model(inputs_embeds=embeddings).logits.float().flatten()
        assert torch.corrcoef(torch.stack([expected, found]))[0, 1] > closeness


@pytest.mark.parametrize("quantised", ["8bit", "4bit"])
def test_projectors_and_lora_train_through_quantised_weights(quantised: str) -> None:
    pytest.importorskip("bitsandbytes")
    prompts = quality_tasks()
    decoder = load_decoder(settings(quantised))
    add_lora(decoder, LoraSettings(rank=2, dropout=0))
    projectors = {"spatial": Projector(ProjectorSettings(kind="mlp"), 2, 6, 128, 1.0)}
    builder = PromptBuilder(build_tokenizer(task_texts(prompts)), prompts)
    model = QualityModel(decoder, builder, projectors).train()
    video = {"spatial": torch.randn(3, 2, 6)}
    question = asked(model, [Question(0, "score", 0, 63)])
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-2)
    losses = []
    for _ in range(5):
        loss = model([video], question).mean()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in trainable)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert {p.dtype for name, p in decoder.named_parameters() if "lora_" in name} == {torch.float32}
    with torch.inference_mode():
        (score,) = expected_scores(model.eval(), model.visual_tokens([video]))
    assert 0 <= score <= 100
