"""A small real language model and tokenizer for tests: a word-level vocabulary and a random Llama."""

from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from config.load import load_settings
from config.schema import ProjectorSettings, PromptSettings, TargetSettings
from demo.decoder_tokenizer import build_tokenizer
from train.answers.prompts import PromptBuilder
from train.model.projectors import Projector
from train.model.quality import QualityModel

WIDTH = 32


def prompt_settings() -> PromptSettings:
    return load_settings(Path(__file__).parents[1] / "pipelines.toml").prompts["quality"]


def prompt_texts(prompts: PromptSettings) -> list[str]:
    tasks = (prompts.score, prompts.level)
    return [
        prompts.system,
        "poor fair good",
        *(q for t in tasks for q in (*t.questions, t.restriction, t.answer)),
    ]


def small_decoder(vocabulary: int, seed: int = 0, **changes: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    settings = {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.2,
    }
    model = LlamaForCausalLM(LlamaConfig(**{**settings, **changes})).eval()
    return model.requires_grad_(False)  # type: ignore[no-any-return]


def small_model(
    shapes: Mapping[str, tuple[int, int]],
    projector: ProjectorSettings | None = None,
    targets: TargetSettings | None = None,
) -> QualityModel:
    prompts = prompt_settings()
    tokenizer = build_tokenizer(prompt_texts(prompts))
    decoder = small_decoder(len(tokenizer))
    settings = projector or ProjectorSettings(kind="mlp")
    torch.manual_seed(1)
    projectors = {name: Projector(settings, *shape, WIDTH, 1.0) for name, shape in shapes.items()}
    return QualityModel(decoder, PromptBuilder(tokenizer, prompts), projectors, targets).eval()
