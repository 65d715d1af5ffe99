"""Quality models around random decoders of several kinds, and videos of random features."""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import torch
from tiny_language import WIDTH, quality_tasks, task_texts
from transformers import AutoConfig, AutoModelForCausalLM

from config.schema import ProjectorSettings, StepSettings
from demo.decoder_tokenizer import build_tokenizer
from train.answers.conversation import Conversation
from train.answers.prompts import PromptBuilder
from train.answers.space import AnswerSpace
from train.model.projectors import Projector
from train.model.quality import QualityModel, embedding_table
from train.model.regression import VideoModel

Question = namedtuple("Question", ["video", "task", "phrasing", "value"])
SHAPES = {"spatial": (5, 7), "temporal": (2, 3)}


def videos(*lengths: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    return [
        {name: torch.randn(k, *shape, generator=generator) for name, shape in SHAPES.items()} for k in lengths
    ]


def model_of(kind: str = "llama", step: StepSettings | None = None, **changes: Any) -> QualityModel:
    prompts = quality_tasks()
    tokenizer = build_tokenizer(task_texts(prompts))
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.1,
        "pad_token_id": 0,
    }
    torch.manual_seed(0)
    decoder = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**settings, **changes}))
    decoder.requires_grad_(False).eval()
    projectors = {
        name: Projector(ProjectorSettings(kind="mlp"), *shape, WIDTH, 1.0) for name, shape in SHAPES.items()
    }
    return QualityModel(decoder, PromptBuilder(tokenizer, prompts), projectors, step=step).eval()


def asked(model: VideoModel, questions: Sequence[Question]) -> list[Conversation]:
    """The tasks' questions with their answers, as the model is trained on them."""
    return [model.prompts.conversation(q.task, q.phrasing, q.value, q.video) for q in questions]


def digit_by_digit(model: QualityModel) -> QualityModel:
    digits = [model.prompts.chat.ids(str(d))[0] for d in range(10)]
    lead = model.spaces["score"].lead
    spelled = [(*lead, *(digits[int(c)] for c in str(score))) for score in range(101)]
    model.spaces["score"] = AnswerSpace.of(spelled, model.prompts.chat.end_of_turn)
    return model


@torch.no_grad()
def uncached(model: QualityModel, visual: torch.Tensor, task: str, answer: Sequence[int]) -> torch.Tensor:
    """Logits [vocabulary] behind part of an answer: a whole sequence, with transformers' own attention."""
    table, prompt = embedding_table(model.decoder), model.prompts.prompt(task)
    parts = [table(torch.tensor(prompt.before)), visual, table(torch.tensor([*prompt.after, *answer]))]
    return model.decoder(inputs_embeds=torch.cat(parts)[None]).logits[0, -1]  # type: ignore[no-any-return]
