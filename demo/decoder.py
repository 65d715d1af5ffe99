"""The embedded language decoder: trained on text once, then frozen; a Hugging Face folder with its card."""

import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import jinja2
import tokenizers
import torch
import transformers

from config.errors import Problem
from config.schema import TaskSettings
from demo.decoder_readout import readout
from demo.decoder_text import corpus_texts
from demo.decoder_tokenizer import build_tokenizer
from demo.decoder_training import DecoderRecipe, train_decoder

SUMMARY_FILE: Final = "decoder.json"
"""Beside the weights: recipe, texts, versions, and how well the decoder reads."""


class DecoderFolderError(Problem):
    """The place for the decoder holds something, which must not be replaced."""


def build_decoder(
    folder: Path, recipe: DecoderRecipe, texts: Iterable[str] = (), *, progress: bool = True
) -> dict[str, Any]:
    """Train the decoder into a new folder, and return its summary.

    The folder holds config.json, model.safetensors, the tokenizer's files, decoder.json and README.md; it
    loads with `AutoModelForCausalLM.from_pretrained(folder)` and `AutoTokenizer.from_pretrained(folder)`, and
    is there as a whole or not at all. `texts`: prompts whose words the vocabulary must hold. Raises
    DecoderFolderError where the folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DecoderFolderError(
            f"{folder}: expected a new or an empty folder for the decoder, found something in it."
            " Name another folder, or move this one away."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        summary = _make(made, recipe, sorted(set(texts)), progress)
        (made / SUMMARY_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        (made / "README.md").write_text(_card(summary), encoding="utf-8")
        made.replace(folder)
    return summary


def task_texts(tasks: Iterable[TaskSettings]) -> list[str]:
    """Every text of the tasks' questions."""
    return [text for task in tasks for text in (task.system, *task.questions, task.restriction)]


def _make(folder: Path, recipe: DecoderRecipe, texts: list[str], progress: bool) -> dict[str, Any]:
    started = time.perf_counter()
    tokenizer = build_tokenizer([*corpus_texts(), *texts])
    model = train_decoder(tokenizer, recipe, progress=progress)
    seconds = time.perf_counter() - started
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {
        "recipe": asdict(recipe),
        "texts": texts,
        "versions": {module.__name__: module.__version__ for module in (torch, transformers, tokenizers)},
        "readout": readout(model, tokenizer, seed=recipe.seed),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": len(tokenizer),
        "seconds": round(seconds, 1),
    }


def _card(summary: dict[str, Any]) -> str:
    """README.md: what the decoder is, whose, how it was made, how well it reads."""
    template = Path(__file__).with_name("decoder_card.md.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(summary)
