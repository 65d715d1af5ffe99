"""What a decoder is: enough to tell whether another machine's is the same, and if not, in what it differs."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from config.schema import DecoderSettings, PipelineSettings
from config.schema.entry import RANDOM
from store.care.difference import changes
from store.format.fingerprint import canonical_json
from train.errors import DecoderMissingError, RunError
from train.model.decoder import decoder_config, decoder_folder, load_tokenizer
from train.saving.run import listed

_BLOCK_BYTES = 1 << 20
_BLOCKS = 64
# What decides a decoder's layers and their arithmetic; a configuration also holds much that does not.
_ARCHITECTURE = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "rms_norm_eps",
    "rope_parameters",
    "sliding_window",
    "tie_word_embeddings",
)


def decoder_identity(settings: DecoderSettings) -> dict[str, Any]:
    """Architecture, weights and tokenizer of a decoder, as plain JSON; its weights are not loaded.

    Raises DecoderMissingError.
    """
    random = settings.weights.startswith(RANDOM)
    return {
        "architecture": _architecture(decoder_config(settings)),
        "weights": settings.weights if random else weights_digest(decoder_folder(settings)),
        "tokenizer": tokenizer_digest(load_tokenizer(settings)),
    }


def check_decoder(place: Path, pipeline: PipelineSettings, identity: Mapping[str, Any] | None) -> None:
    """Raise RunError, with the differences, where the decoder or its tokenizer is not the one of training."""
    found = [] if identity is None else changes(identity, decoder_identity(pipeline.decoder))
    if found:
        what = "tokenizer" if all(line.startswith("tokenizer:") for line in found) else "decoder"
        raise RunError(
            f"{place} was trained with another {what} than {pipeline.decoder.weights!r} gives now"
            f" (trained with → found):{listed(found)}"
        )


def weights_digest(folder: Path) -> str:
    """sha256 over a model's safetensors files: names, sizes, and 64 blocks of 1 MiB spread over each.

    A file of up to 64 MiB is read whole. Blocks of larger ones tell trained models of one architecture
    apart, without minutes of reading. Raises DecoderMissingError for a folder without such files.
    """
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise DecoderMissingError(f"{folder} has no weights as model*.safetensors (other files are not read)")
    total = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        total.update(f"{path.name} {size}\n".encode())
        last = max(0, size - _BLOCK_BYTES)
        count = min(_BLOCKS, -(-size // _BLOCK_BYTES))
        with path.open("rb") as file:
            for block in range(count):
                file.seek(last * block // max(1, count - 1))
                total.update(file.read(_BLOCK_BYTES))
    return f"sha256:{total.hexdigest()}"


def tokenizer_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """sha256 over the vocabulary with its ids, the chat template and the token that ends a turn."""
    content = [tokenizer.get_vocab(), tokenizer.chat_template, tokenizer.eos_token]
    return f"sha256:{hashlib.sha256(canonical_json(content).encode()).hexdigest()}"


def _architecture(config: PretrainedConfig) -> dict[str, Any]:
    values = config.get_text_config().to_dict()
    return {name: values[name] for name in _ARCHITECTURE if values.get(name) is not None}
