"""The embedded language decoder: trained on text once, then frozen and kept as a Hugging Face folder."""

import hashlib
import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import tokenizers
import torch
import transformers

from config.errors import Problem
from demo import decoder_text, decoder_tokenizer, decoder_training
from demo.decoder_readout import readout
from demo.decoder_text import corpus_texts
from demo.decoder_tokenizer import build_tokenizer
from demo.decoder_training import DecoderRecipe, train_decoder

SUMMARY_FILE: Final = "decoder.json"
"""Beside the weights: the recipe, its digest and how well the decoder reads. Written last."""


class DecoderFolderError(Problem):
    """The place for the decoder holds something else, which must not be replaced."""


def build_decoder(
    folder: Path,
    *,
    seed: int = 0,
    steps: int = DecoderRecipe.steps,
    texts: Iterable[str] = (),
    progress: bool = True,
) -> Path:
    """Make `folder` hold the frozen decoder, and return it.

    The folder holds config.json, model.safetensors, the tokenizer's files and decoder.json; it loads with
    `AutoModelForCausalLM.from_pretrained(folder)` and `AutoTokenizer.from_pretrained(folder)`. It is made
    anew only if it is absent, or if its recipe (settings, corpus, library versions) is another; a run that is
    interrupted leaves what was there before. `texts`: prompt templates whose words the vocabulary must hold.
    Raises DecoderFolderError where the folder holds something else.
    """
    recipe = DecoderRecipe(steps=steps, seed=seed)
    specification = _specification(recipe, sorted(set(texts)))
    digest = hashlib.sha256(json.dumps(specification, sort_keys=True).encode()).hexdigest()[:12]
    if _recorded_digest(folder) == digest:
        return folder
    _refuse_other_contents(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        summary = _make(made, recipe, [*corpus_texts(), *specification["texts"]], progress)
        document = {"digest": digest, "specification": specification, **summary}
        (made / SUMMARY_FILE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "replaced")
        made.rename(folder)
    return folder


def decoder_summary(folder: Path) -> dict[str, Any]:
    """What decoder.json records: digest, specification, readout, seconds."""
    summary: dict[str, Any] = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    return summary


def _make(folder: Path, recipe: DecoderRecipe, texts: Iterable[str], progress: bool) -> dict[str, Any]:
    started = time.perf_counter()
    tokenizer = build_tokenizer(texts)
    model = train_decoder(tokenizer, recipe, progress=progress)
    seconds = time.perf_counter() - started
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {
        "readout": readout(model, tokenizer, seed=recipe.seed),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": len(tokenizer),
        "seconds": round(seconds, 1),
    }


def _specification(recipe: DecoderRecipe, texts: list[str]) -> dict[str, Any]:
    sources = [Path(str(module.__file__)) for module in (decoder_text, decoder_tokenizer, decoder_training)]
    return {
        "recipe": asdict(recipe),
        "texts": texts,
        "code": {source.stem: hashlib.sha256(source.read_bytes()).hexdigest()[:12] for source in sources},
        "versions": {module.__name__: module.__version__ for module in (torch, transformers, tokenizers)},
    }


def _refuse_other_contents(folder: Path) -> None:
    if folder.exists() and not (folder / SUMMARY_FILE).is_file():
        raise DecoderFolderError(
            f"{folder}: expected a decoder made by this command (with {SUMMARY_FILE}) or nothing, found"
            " something else. Name another folder, or move this one away."
        )


def _recorded_digest(folder: Path) -> str | None:
    try:
        return str(decoder_summary(folder)["digest"])
    except (OSError, ValueError, KeyError):
        return None
