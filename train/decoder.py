"""Load the frozen language model and its tokenizer; add low-rank adapters where asked."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from config.schema import DecoderSettings, LoraSettings
from train.errors import DecoderMissingError, TrainError
from train.llama3_tokenizer import holds_only_ranks, load_llama3_tokenizer

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_decoder(settings: DecoderSettings) -> PreTrainedModel:
    """The frozen causal language model in evaluation mode.

    `random:SEED` builds the configured architecture with seeded random weights. Raises DecoderMissingError
    that says where to get the weights.
    """
    dtype = _DTYPES[settings.dtype]
    disable_progress_bar()
    if settings.weights.startswith("random:"):
        model = _random_model(settings, dtype)
    else:
        try:
            model = AutoModelForCausalLM.from_pretrained(
                _local_or_hub(settings.weights), revision=settings.revision, dtype=dtype, use_safetensors=True
            )
        except (OSError, ValueError) as error:
            raise _missing("the language model", settings.weights, settings, error) from error
    model.requires_grad_(False)
    model.eval()
    return model


def load_tokenizer(settings: DecoderSettings) -> PreTrainedTokenizerBase:
    """The decoder's tokenizer; a folder with only Llama-3's `tokenizer.model` is read too."""
    place = settings.tokenizer or settings.weights
    if place.startswith("random:"):
        raise TrainError(
            f"a decoder with weights {place!r} has no tokenizer of its own:"
            " set `tokenizer` in the pipeline's decoder settings to a folder or hub id"
        )
    folder = Path(place).expanduser()
    if holds_only_ranks(folder):
        return load_llama3_tokenizer(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(_local_or_hub(place), revision=settings.revision)
    except (OSError, ValueError) as error:
        raise _missing("the tokenizer", place, settings, error) from error
    return tokenizer


def add_lora(model: PreTrainedModel, settings: LoraSettings) -> None:
    """Inject trainable low-rank adapters (peft) into the frozen decoder, in place and in float32."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        task_type="CAUSAL_LM",
    )
    inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()


def _random_model(settings: DecoderSettings, dtype: torch.dtype) -> PreTrainedModel:
    architecture: dict[str, Any] = dict(settings.architecture)
    model_type = architecture.pop("model_type", None)
    if model_type is None:
        raise TrainError(
            'decoder weights `random:SEED` need `architecture = { model_type = "llama", … }` in the settings'
        )
    config = AutoConfig.for_model(model_type, **architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(settings.weights.removeprefix("random:")))
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
        return model


def _local_or_hub(place: str) -> str:
    path = Path(place).expanduser()
    if path.is_absolute() and not path.is_dir():
        raise OSError("no such folder")
    return str(path) if path.is_dir() else place


def _missing(what: str, place: str, settings: DecoderSettings, error: Exception) -> DecoderMissingError:
    where = f"\n  where to get it: {settings.source}" if settings.source else ""
    reason = str(error).strip().splitlines()[0]
    return DecoderMissingError(
        f"{what} {place!r} could not be loaded: {reason}{where}"
        "\n  where to put it: any folder, named by `weights` in the pipeline's decoder settings"
        " (--set pipelines.NAME.decoder.weights=FOLDER)\n  `make demo` needs none of it."
    )
