"""How much of a device's memory a training takes."""

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from config.schema import PipelineSettings, TaskSettings
from train.answers.conversation import SLOT, Conversation, Message
from train.model.build import Shapes, assemble
from train.model.decoder import DTYPES, decoder_of, weights_dtype
from train.model.quality import QualityModel
from train.model.recompute import SPARE, kept_bytes, layers_to_recompute
from train.model.regression import VideoModel

_GATHERED_LAYERS = 2
"""Of a sharded decoder: the layer that computes, and the next."""
_NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""A weight, its share of a block's scale in 8 bits, and of the scale of 256 scales (arXiv 2305.14314)."""
_SMALL_WIDTH = 512
_QUESTION = Conversation((0,), (Message("user", f"{SLOT} good?"), Message("assistant", "good")))


@dataclass(frozen=True)
class Memory:
    """Bytes on each device; activations are an estimate."""

    frozen: float
    """Weights that do not train."""
    trained: float
    """Weights that do, their gradients and AdamW's state."""
    tokens: int
    """Of the largest pass."""
    layers: int
    layer_token: float
    """Bytes that a layer keeps for the backward pass, for each token."""
    recomputed_token: float
    """The same of a layer that is recomputed."""
    recomputed_layers: int

    @property
    def recomputed_share(self) -> float:
        """Of the layers."""
        return self.recomputed_layers / max(1, self.layers)

    @property
    def activations(self) -> float:
        """With so many layers recomputed; one of them is whole while it is."""
        whole = self.layers - self.recomputed_layers + (self.recomputed_layers > 0)
        token = whole * self.layer_token + self.recomputed_layers * self.recomputed_token
        return self.tokens * token

    @property
    def total(self) -> float:
        """All of it."""
        return self.frozen + self.trained + self.activations


def planned_memory(
    model: VideoModel,
    pipeline: PipelineSettings,
    layer_token: float,
    tokens: int,
    processes: int,
    memory_bytes: float | None,
) -> Memory:
    """Of each of so many processes, whose largest pass has `tokens`.

    Layers are recomputed as `step.recompute` says: `auto` as far as a GPU of `memory_bytes` demands, and not
    at all where that is not known.
    """
    divided = set[int]()
    if isinstance(model, QualityModel) and pipeline.shards:
        divided = {id(p) for p in model.decoder.get_decoder().layers.parameters()}
    trained = sum(
        p.numel() * p.element_size() * (4 + (processes > 1)) / (processes if id(p) in divided else 1)
        for p in model.parameters()
        if p.requires_grad
    )
    if not isinstance(model, QualityModel):
        return Memory(0.0, trained, tokens, 0, 0.0, 0.0, 0)
    frozen = _frozen_bytes(model, pipeline, processes)
    config = model.decoder.config.get_text_config()
    layers = config.num_hidden_layers - 1  # the last one keeps little (see AnswerRows)
    kept = config.hidden_size * DTYPES[pipeline.decoder.dtype].itemsize
    recompute = pipeline.training.step.recompute
    recomputed = layers if recompute == "layers" else 0
    if recompute == "auto" and memory_bytes is not None and pipeline.decoder.quantised != "8bit":
        budget = SPARE * (memory_bytes - frozen - trained)
        recomputed = layers_to_recompute(tokens, layers, layer_token, kept, budget)
        recomputed = layers if pipeline.decoder.attention == "mmca" else recomputed
    return Memory(frozen, trained, tokens, layers, layer_token, kept, recomputed)


def layer_bytes_per_token(
    pipeline: PipelineSettings,
    tasks: Mapping[str, TaskSettings],
    shapes: Shapes,
    config: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
) -> float:
    """What a layer keeps for the backward pass for each token, measured on a narrow one of the same form.

    All that is kept grows with the widths alone, but for a few numbers a token. Not compiled; compiled, a
    layer keeps about two thirds of it (benchmarks/RESULTS.md).
    """
    narrow = deepcopy(config)
    text = narrow.get_text_config()
    names = ("num_attention_heads", "num_key_value_heads", "hidden_size", "intermediate_size")
    widths = {name: getattr(text, name) for name in names}
    factor = max(
        divisor
        for divisor in range(1, math.gcd(*widths.values()) + 1)
        if math.gcd(*widths.values()) % divisor == 0
        and (divisor == 1 or text.hidden_size // divisor >= _SMALL_WIDTH)
    )
    for name, width in widths.items():
        setattr(text, name, width // factor)
    text.num_hidden_layers, text.vocab_size = 2, len(tokenizer)
    step = {"recompute": "none", "compile": False}
    plain = pipeline.model_copy(
        update={
            "members": 1,
            "training": pipeline.training.model_copy(
                update={"step": pipeline.training.step.model_copy(update=step)}
            ),
        }
    )
    with torch.random.fork_rng(devices=[]):
        decoder = decoder_of(narrow, weights_dtype(pipeline))
        model = assemble(plain, tasks, shapes, decoder, tokenizer).train()
    video = {branch: torch.zeros(1, *shape) for branch, shape in shapes.items()}
    packed = model.pack(model.visual_tokens([video]), [_QUESTION])
    with kept_bytes(decoder.get_decoder().layers[0]) as kept:
        model.packed.logits(decoder, packed.embeddings, packed.layout, packed.rows)
    return factor * sum(kept.values()) / packed.layout.tokens


def _frozen_bytes(model: QualityModel, pipeline: PipelineSettings, processes: int) -> float:
    decoder = model.decoder
    layers = decoder.get_decoder().layers
    linear = {id(part.weight) for part in layers.modules() if isinstance(part, nn.Linear)}
    quantised = {"none": None, "8bit": 1.0, "4bit": _NF4_BYTES}[pipeline.decoder.quantised]

    def size(parameters: Iterable[nn.Parameter]) -> float:
        return sum(
            p.numel() * (quantised if quantised and id(p) in linear else p.element_size())
            for p in parameters
            if not p.requires_grad
        )

    divided = size(layers.parameters())
    whole = size(decoder.parameters()) - divided
    if not pipeline.shards or processes == 1:
        return whole + divided
    return whole + divided / processes + _GATHERED_LAYERS * divided / len(layers)
