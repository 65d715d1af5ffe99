"""The language model that answers, and adapters on it."""

from typing import Any, Literal

from pydantic import Field, field_validator

from config.schema.entry import Entry, Weights


class LoraSettings(Entry):
    """Low-rank adapters on the decoder (peft)."""

    rank: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[str, ...] = Field(("q_proj", "k_proj", "v_proj", "o_proj"), min_length=1)
    """Names of the linear layers that are adapted."""


class DecoderSettings(Entry):
    """The language model that answers; frozen, unless training.groups names it."""

    weights: Weights
    """`random:SEED`, a hub id or a path (`./…`)."""
    revision: str | None = None
    tokenizer: str | None = None
    """A hub id or path, where it is not beside the weights."""
    architecture: dict[str, Any] = Field(default_factory=dict)
    """For `random:SEED`, and for `--dry-run` without weights: the model's configuration, with `model_type`
    (see transformers)."""
    chat_template: str | None = None
    """Jinja template, for tokenizers that come without one."""
    attention: Literal["causal", "mmca"] = "causal"
    """`mmca`: the sum of two softmaxes, over media and over text, of LMM-VQA's released code."""
    max_tokens: int | None = Field(None, ge=1)
    """Longer sequences are refused, where the model could read them; VQA²'s released code cuts at 10,000."""
    rope_theta: float | None = Field(None, gt=0)
    """Base of the rotary positions, where not the model's own."""
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Of the weights, or, where they are quantised or train (in float32), of the computation."""
    quantised: Literal["none", "8bit", "4bit"] = "none"
    """How the frozen weights are held: as they are, or by bitsandbytes as LLM.int8() or NF4."""
    lora: LoraSettings | None = None
    """`false` drops what a pipeline inherits."""
    licence: str = ""
    """Said in the model card of what is trained on it."""
    source: str = ""
    """Where to get the weights: printed when they are absent."""

    @field_validator("lora", "max_tokens", mode="before")
    @classmethod
    def _false_is_none(cls, value: Any) -> Any:
        return None if value is False else value
