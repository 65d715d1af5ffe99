"""A small real language model and tokenizer for tests: a word-level vocabulary and a random Llama."""

from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from config.load import load_settings
from config.schema import ProjectorSettings, TargetSettings, TaskSettings
from demo.decoder_tokenizer import build_tokenizer
from train.answers.forms import options
from train.answers.prompts import PromptBuilder
from train.model.projectors import Projector
from train.model.quality import QualityModel

WIDTH = 32


def quality_tasks() -> dict[str, TaskSettings]:
    tasks = load_settings(Path(__file__).parents[1] / "pipelines.toml").tasks
    return {name: tasks[name] for name in ("score", "level")}


def task_texts(tasks: Mapping[str, TaskSettings]) -> list[str]:
    words = [word for task in tasks.values() for texts in options(task.form) for word in texts]
    asked = [text for t in tasks.values() for text in (t.system, *t.questions, t.restriction, t.answer)]
    return [*words, *asked]


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
    tasks = quality_tasks()
    tokenizer = build_tokenizer(task_texts(tasks))
    decoder = small_decoder(len(tokenizer))
    settings = projector or ProjectorSettings(kind="mlp")
    torch.manual_seed(1)
    projectors = {name: Projector(settings, *shape, WIDTH, 1.0) for name, shape in shapes.items()}
    return QualityModel(decoder, PromptBuilder(tokenizer, tasks), projectors, targets).eval()
