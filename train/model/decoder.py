"""Load the language model and its tokenizer; add low-rank adapters where asked."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import PartialState, init_empty_weights
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from config.schema import DecoderSettings, LoraSettings, PipelineSettings
from config.schema.entry import RANDOM
from train.errors import DecoderMissingError, TrainError
from train.model.hub import first_line, model_folder
from train.model.llama3_tokenizer import holds_only_ranks, load_llama3_tokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Weights as safetensors alone: a pickle is neither fetched nor read.
_FILES = ("*.json", "model*.safetensors", "*.jinja", "*.txt", "*.model")


def load_decoder(
    settings: DecoderSettings, device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> PreTrainedModel:
    """The causal language model in evaluation mode, frozen; its weights in `dtype`, or the settings' own.

    `random:SEED` builds the configured architecture with seeded random weights. Weights go shard by shard
    to `device`; without one they stay on the CPU, but for quantised weights, which go to this process's own
    device: it never holds them at full precision. On `meta` nothing is read: the weights come from another
    process. Raises DecoderMissingError that says where to get the weights, TrainError where they cannot be
    quantised here.
    """
    disable_progress_bar()
    options: dict[str, Any] = {"dtype": dtype or DTYPES[settings.dtype]}
    if device is not None and torch.device(device).type == "meta":
        with init_empty_weights(include_buffers=False):
            empty = decoder_of(decoder_config(settings), options["dtype"])
        empty.name_or_path = settings.weights
        return empty
    if settings.quantised != "none":
        options["quantization_config"] = quantisation(settings.quantised, options["dtype"])
        device = own_device() if device is None else device
    if device is not None:
        options["device_map"] = {"": torch.device(device)}
    if settings.weights.startswith(RANDOM):
        model = _random_model(settings, options)
    else:
        try:
            model = AutoModelForCausalLM.from_pretrained(
                decoder_folder(settings),
                config=decoder_config(settings),
                use_safetensors=True,
                trust_remote_code=False,
                **options,
            )
        except (OSError, ValueError) as error:
            raise _missing("the language model", settings.weights, settings, error) from error
        model.name_or_path = settings.weights
    model.requires_grad_(False)
    model.eval()
    return model


def weights_dtype(pipeline: PipelineSettings) -> torch.dtype:
    """What the decoder's weights are held in: float32 where they train, else the settings' own."""
    return torch.float32 if pipeline.trains("decoder") else DTYPES[pipeline.decoder.dtype]


def decoder_of(config: PretrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """A frozen decoder of that architecture, in evaluation mode, with random weights."""
    decoder: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    decoder.requires_grad_(False)
    decoder.eval()
    return decoder


def decoder_config(settings: DecoderSettings) -> PretrainedConfig:
    """The model's configuration, without its weights. Raises DecoderMissingError, TrainError."""
    if settings.weights.startswith(RANDOM):
        architecture: dict[str, Any] = dict(settings.architecture)
        model_type = architecture.pop("model_type", None)
        if model_type is None:
            raise TrainError(
                'decoder weights `random:SEED` need `architecture = { model_type = "llama", … }` in the'
                " settings, or a decoder of pipelines.toml that has one"
            )
        return _with_rope(AutoConfig.for_model(model_type, **architecture), settings)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            decoder_folder(settings), trust_remote_code=False
        )
        return _with_rope(config, settings)
    except (OSError, ValueError) as error:
        raise _missing("the language model", settings.weights, settings, error) from error


def _with_rope(config: PretrainedConfig, settings: DecoderSettings) -> PretrainedConfig:
    if settings.rope_theta is not None:
        text = config.get_text_config()
        text.rope_parameters = {**(text.rope_parameters or {}), "rope_theta": settings.rope_theta}
    return config


def decoder_folder(settings: DecoderSettings) -> Path:
    """The folder of the model's files, fetched from the hub where need be. Raises DecoderMissingError."""
    return _folder("the language model", settings.weights, settings.revision, settings)


def load_tokenizer(settings: DecoderSettings) -> PreTrainedTokenizerBase:
    """The decoder's tokenizer; a folder with only Llama-3's `tokenizer.model` is read too."""
    place = settings.tokenizer or settings.weights
    if place.startswith(RANDOM):
        raise TrainError(
            f"a decoder with weights {place!r} has no tokenizer of its own:"
            " set `tokenizer` in the pipeline's decoder settings to a folder or hub id"
        )
    revision = None if settings.tokenizer else settings.revision
    folder = _folder("the tokenizer", place, revision, settings)
    if holds_only_ranks(folder):
        return load_llama3_tokenizer(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _missing("the tokenizer", place, settings, error) from error
    return tokenizer


def check_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise TrainError where the tokenizer writes tokens that the model has no embedding of."""
    table: Any = model.get_input_embeddings()
    rows: int = table.weight.shape[0]
    if len(tokenizer) > rows:
        raise TrainError(
            f"the tokenizer {tokenizer.name_or_path!r} has {len(tokenizer):,} tokens, but the decoder embeds"
            f" only {rows:,}: name the decoder's own tokenizer, or give the architecture a larger vocab_size"
        )


def add_lora(model: PreTrainedModel, settings: LoraSettings) -> None:
    """Inject trainable low-rank adapters (peft) into the frozen decoder, in place and in float32.

    Raises TrainError where the decoder has none of the targets.
    """
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        task_type="CAUSAL_LM",
        base_model_name_or_path=model.name_or_path or None,
    )
    try:
        inject_adapter_in_model(config, model)
    except ValueError as error:
        raise TrainError(
            f"LoRA cannot adapt {list(settings.targets)} of {type(model).__name__}: {first_line(error)}."
            " `targets` of the decoder's `lora` settings names its linear layers"
        ) from error
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()


def _random_model(settings: DecoderSettings, options: dict[str, Any]) -> PreTrainedModel:
    config = decoder_config(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(settings.weights.removeprefix(RANDOM)))
        model = decoder_of(config, options["dtype"])
    if "quantization_config" in options:
        loader: Any = type(model).from_pretrained
        quantised: PreTrainedModel = loader(None, config=config, state_dict=model.state_dict(), **options)
        return quantised
    return model.to(options["device_map"][""]) if "device_map" in options else model


def _folder(what: str, place: str, revision: str | None, settings: DecoderSettings) -> Path:
    try:
        return model_folder(place, revision, _FILES)
    except (OSError, ValueError) as error:
        raise _missing(what, place, settings, error) from error


def _missing(what: str, place: str, settings: DecoderSettings, error: Exception) -> DecoderMissingError:
    where = f"\n  where to get it: {settings.source}" if settings.source else ""
    return DecoderMissingError(
        f"{what} {place!r} could not be loaded: {first_line(error)}{where}"
        "\n  where to put it: any folder, named by `weights` in the pipeline's decoder settings"
        " (--set pipelines.NAME.decoder.weights=FOLDER)\n  `make demo` needs none of it."
    )


def quantisation(kind: Literal["8bit", "4bit"], compute: torch.dtype) -> BitsAndBytesConfig:
    """How transformers is to load the linear layers; `compute` is the dtype of 4-bit layers' products.

    8bit: LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339). 4bit: NF4 with double quantisation, as in QLoRA
    (Dettmers et al. 2023, arXiv 2305.14314). Embeddings and the output layer keep their precision. Raises
    TrainError where bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise TrainError(
            f"quantised = {kind!r} needs bitsandbytes, which is not installed:"
            " .venv/bin/python -m pip install --constraint constraints.txt --editable '.[quantised]'"
        )
    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def own_device() -> torch.device:
    """The device that Accelerate gives this process: one GPU each, or the CPU."""
    device: torch.device = PartialState().device
    return device
