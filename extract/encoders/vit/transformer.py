"""Vision transformers of the transformers library: built up to one hidden state, with their weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from config.schema import EncoderSettings
from extract.encoders.weights import absent, local_path, random_seed, seeded
from extract.errors import EncoderError


def load_transformer(
    settings: EncoderSettings,
    kind: type[PreTrainedModel],
    architecture: Mapping[str, Any],
    without: Mapping[str, Any],
) -> PreTrainedModel:
    """The model with only the layers below hidden state `layer`, in float32. Raises EncoderError.

    `architecture`: of `random:SEED` weights, where the settings do not override it. `without`: values of the
    configuration that leave out parts which are not run. Real weights come as safetensors, from a folder or
    the hub; whatever else a checkpoint holds, such as a text tower, is not read.
    """
    seed = random_seed(settings)
    if seed is not None:
        config = _cut(settings, _random_config(settings, kind, architecture), without)
        return seeded(lambda: kind(config), seed)
    place = str(local_path(settings) or settings.weights)
    revision = settings.revision or "main"
    configurations: Any = kind.config_class
    loader: Any = kind
    try:
        with _without_load_report():
            config = _cut(settings, configurations.from_pretrained(place, revision=revision), without)
            model, report = loader.from_pretrained(
                place,
                revision=revision,
                config=config,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except (OSError, ValueError) as error:
        raise absent(settings, str(error).splitlines()[0]) from None
    # transformers only logs what a checkpoint lacks, and leaves random weights there.
    lacking = sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])])
    if lacking:
        raise EncoderError(
            f"encoders.{settings.name}.weights: {place} does not fit {kind.__name__}: {len(lacking)} weights "
            f"are absent or of another shape, the first is {lacking[0]}"
        )
    loaded: PreTrainedModel = model
    return loaded


def described(config: PreTrainedConfig, architecture: Mapping[str, Any]) -> dict[str, Any]:
    """What makes the model besides its weights: the values of all that the default architecture names."""
    return {name: getattr(config, name) for name in architecture}


def _random_config(
    settings: EncoderSettings, kind: type[PreTrainedModel], architecture: Mapping[str, Any]
) -> PreTrainedConfig:
    unknown = sorted(set(settings.architecture) - set(architecture))
    if unknown:
        raise EncoderError(
            f"encoders.{settings.name}.architecture: unknown {unknown[0]!r}; known: {', '.join(architecture)}"
        )
    configurations: Any = kind.config_class
    try:
        config: PreTrainedConfig = configurations(**{**architecture, **settings.architecture})
    except Exception as error:  # noqa: BLE001 - the hub's validation errors have no narrower common class
        raise EncoderError(f"encoders.{settings.name}.architecture: {error}") from None
    return config


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


@contextmanager
def _without_load_report() -> Iterator[None]:
    """transformers warns of every weight that is passed over, and that is meant here."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
