"""A model of any size with random weights, and a batch for it, for the benchmarks of the step."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from config.load import DEFAULT_FILE, load_settings
from config.schema import ProjectorSettings, StepSettings
from demo.decoder_tokenizer import build_tokenizer
from train.answers.chat import Answer
from train.answers.conversation import SLOT, Conversation
from train.answers.prompts import PromptBuilder
from train.data.reader import Features
from train.model.projectors import Projector
from train.model.quality import QualityModel

VOCABULARY = 128_256
CHUNKS = 4
FEATURES = {"spatial": 1024, "temporal": 2048}
"""Widths of CLIP's and SlowFast's features."""


def step_model(
    layers: int,
    hidden: int,
    tokens: int,
    step: StepSettings,
    *,
    intermediate: int | None = None,
    vocabulary: int = VOCABULARY,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    attention: Literal["causal", "mmca"] = "causal",
) -> QualityModel:
    """Llama-3's proportions and vocabulary, made on the device; one linear projector for each branch.

    `tokens` is a multiple of 8.
    """
    known = load_settings(Path(__file__).parents[1] / DEFAULT_FILE, []).tasks
    tasks = {name: known[name] for name in ("score", "level")}
    texts = [
        t for task in tasks.values() for t in (task.system, *task.questions, task.restriction, task.answer)
    ]
    tokenizer = build_tokenizer(["poor fair good", *texts])
    head = 128 if hidden >= 2048 else 64
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate or hidden * 7 // 2,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // head),
        num_key_value_heads=max(1, hidden // head // 4),
        max_position_embeddings=8192,
        rope_theta=500_000.0,
    )
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            decoder = LlamaForCausalLM(config).requires_grad_(False).eval()
    finally:
        torch.set_default_dtype(usual)
    projectors = {
        name: Projector(ProjectorSettings(kind="mlp"), tokens // CHUNKS // 2, width, hidden, 1.0)
        for name, width in FEATURES.items()
    }
    prompts = PromptBuilder(tokenizer, tasks)
    return QualityModel(decoder, prompts, projectors, step=step, attention=attention).to(device).train()


def hold_in_4_bits(model: QualityModel) -> None:
    """Replace the decoder's linear layers by bitsandbytes' NF4 with double quantisation, one by one."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    body = model.decoder.get_decoder()
    linear = [(name, layer) for name, layer in body.named_modules() if isinstance(layer, nn.Linear)]
    for name, layer in linear:
        packed = Linear4bit(
            layer.in_features, layer.out_features, bias=False, compute_dtype=layer.weight.dtype, device="meta"
        )
        weight = Params4bit(
            layer.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True
        )
        packed.weight = weight.to(layer.weight.device)
        parent, _, own = name.rpartition(".")
        setattr(body.get_submodule(parent), own, packed)


def step_batch(
    model: QualityModel, videos: int, tokens: int, device: str = "cpu", turns: int = 1
) -> tuple[list[Features], list[Conversation]]:
    """Random features of videos of so many visual tokens, and two conversations about each.

    One begins with the score's question, the other with the level's; further turns ask for the other.
    """
    generator = torch.Generator().manual_seed(0)
    shapes = {name: (CHUNKS, tokens // CHUNKS // 2, width) for name, width in FEATURES.items()}
    batch: list[Features] = [
        {name: (0.02 * torch.randn(shape, generator=generator)).to(device) for name, shape in shapes.items()}
        for _ in range(videos)
    ]
    values: dict[str, float | str] = {"score": 37.0, "level": "fair"}
    conversations = []
    for video in range(videos):
        for first, second in (("score", "level"), ("level", "score")):
            wording = video % 4 if first == "score" else 1
            opening = model.prompts.conversation(first, wording, values[first], video)
            *_, question, answer = model.prompts.conversation(second, 0, values[second]).messages
            further = (replace(question, text=question.text.replace(SLOT, "").strip()), answer)
            messages = (*opening.messages, *further * (turns - 1))
            conversations.append(replace(opening, messages=messages))
    return batch, conversations


def packed_loss(
    model: QualityModel, videos: list[Features], conversations: list[Conversation]
) -> torch.Tensor:
    """The packed step's loss as Hugging Face averages it: over all answer tokens, not over conversations."""
    pieces = map(model.prompts.chat.pieces, conversations)
    sizes = [sum(len(p.ids) + 1 for p in each if isinstance(p, Answer)) for each in pieces]
    losses: torch.Tensor = model(videos, conversations)
    return (losses * torch.tensor(sizes, device=losses.device)).sum() / sum(sizes)
