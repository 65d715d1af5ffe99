"""Vision transformers of the transformers library: built up to one hidden state, with their weights."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from config.schema import EncoderSettings
from extract.encoders.model import ModelEncoder
from extract.encoders.weights import absent, local_path, random_weights
from extract.errors import EncoderError


class TransformerEncoder(ModelEncoder):
    """Hidden state `layer` of a vision transformer."""

    transformer: ClassVar[type[PreTrainedModel]]
    default: ClassVar[Mapping[str, Any]]
    """The architecture of `random:SEED` weights."""
    without: ClassVar[Mapping[str, Any]] = {}
    """Values of the configuration that leave out parts which are not run."""

    def architecture(self) -> dict[str, Any]:
        """The values of all that the default architecture names."""
        config = self.model.config
        return {name: getattr(config, name) for name in self.default}

    @classmethod
    def load(cls, settings: EncoderSettings) -> PreTrainedModel:
        """The model with only the layers below hidden state `layer`, in float32. Raises EncoderError.

        Real weights come as safetensors, from a folder or the hub; whatever else a checkpoint holds, such as
        a text tower, is not read.
        """
        kind: Any = cls.transformer
        model: PreTrainedModel | None = random_weights(settings, lambda: kind(cls._random_config(settings)))
        if model is not None:
            return model
        place = str(local_path(settings) or settings.weights)
        revision = settings.revision or "main"
        level = logging.get_verbosity()
        logging.set_verbosity_error()  # it warns of every weight that is passed over, which is meant here
        try:
            config = kind.config_class.from_pretrained(place, revision=revision)
            model, report = kind.from_pretrained(
                place,
                revision=revision,
                config=_cut(settings, config, cls.without),
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
        except (OSError, ValueError) as error:
            raise absent(settings, str(error).splitlines()[0]) from None
        finally:
            logging.set_verbosity(level)
        # transformers only logs what a checkpoint lacks, and leaves random weights there.
        lacking = sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])])
        if lacking:
            raise EncoderError(
                f"encoders.{settings.name}.weights: {place} does not fit {kind.__name__}: {len(lacking)} "
                f"weights are absent or of another shape, the first is {lacking[0]}"
            )
        return model

    @classmethod
    def _random_config(cls, settings: EncoderSettings) -> PreTrainedConfig:
        given = settings.architecture
        if unknown := sorted(set(given) - set(cls.default)):
            raise EncoderError(
                f"encoders.{settings.name}.architecture: unknown {unknown[0]!r}; "
                f"known: {', '.join(cls.default)}"
            )
        kind: Any = cls.transformer.config_class
        try:
            config = kind(**{**cls.default, **given})
        except Exception as error:  # noqa: BLE001 - the hub's validation errors have no narrower common class
            raise EncoderError(f"encoders.{settings.name}.architecture: {error}") from None
        return _cut(settings, config, cls.without)


def _cut(settings: EncoderSettings, config: PreTrainedConfig, without: Mapping[str, Any]) -> PreTrainedConfig:
    """The configuration of the layers to run: those below hidden state `layer`.

    Hidden states are counted as transformers does: 0 is the embeddings, -1 the output of the last layer.
    """
    available = config.num_hidden_layers
    layer = settings.layer if settings.layer >= 0 else available + 1 + settings.layer
    if not 1 <= layer <= available:
        raise EncoderError(
            f"encoders.{settings.name}.layer is {settings.layer}, but the model has hidden states "
            f"1 to {available} (or -1 to -{available})"
        )
    for name, value in {**without, "num_hidden_layers": layer}.items():
        setattr(config, name, value)
    return config
