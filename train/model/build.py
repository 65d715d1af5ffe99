"""Build a model from settings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from config.schema import PipelineSettings, TaskSettings
from train.answers.prompts import PromptBuilder
from train.errors import TrainError
from train.model.decoder import add_lora, check_vocabulary, load_decoder, load_tokenizer, weights_dtype
from train.model.distance import FeatureDistance
from train.model.members import gathered
from train.model.projectors import Projector
from train.model.quality import QualityModel, embedding_table
from train.model.regression import RegressionModel, VideoModel

Tasks = Mapping[str, TaskSettings]
Shapes = Mapping[str, tuple[int, int]]
"""Branch → (tokens, features) of a chunk."""


def build_model(
    pipeline: PipelineSettings,
    tasks: Tasks,
    shapes: Shapes,
    device: torch.device | str | None = None,
) -> VideoModel:
    """The untrained model: projectors before the decoder, or before the regression head.

    The initial weights of all that trains come from the training seed alone, but for a decoder that trains
    itself: it begins as it was loaded, in float32. `device` is where the decoder is loaded to (see
    `load_decoder`); all else is on the CPU.
    """
    if pipeline.head == "regression":
        model = _regression(pipeline, tasks, shapes)
        model.distances.update(_distances(pipeline, shapes))
        model.freeze_the_rest(pipeline)
        return model
    decoder = load_decoder(pipeline.decoder, device, weights_dtype(pipeline))
    return assemble(pipeline, tasks, shapes, decoder, load_tokenizer(pipeline.decoder))


def assemble(
    pipeline: PipelineSettings,
    tasks: Tasks,
    shapes: Shapes,
    decoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> QualityModel:
    """The untrained model around a decoder, on whatever device that is; projectors are on the CPU."""
    check_vocabulary(decoder, tokenizer)
    builder = PromptBuilder(tokenizer, tasks, pipeline.decoder.chat_template)
    embeddings = embedding_table(decoder).weight
    embedding_std = 1.0 if embeddings.is_meta else float(embeddings.float().std())
    with _seeded(pipeline.training.seed):
        if pipeline.decoder.lora is not None:
            add_lora(decoder, pipeline.decoder.lora)
        projectors = _members(pipeline, shapes, embeddings.shape[1], embedding_std)
    model = QualityModel(
        decoder,
        builder,
        projectors,
        pipeline.training.targets,
        token_order=pipeline.token_order,
        slots=pipeline.slots,
        max_tokens=pipeline.decoder.max_tokens,
        step=pipeline.training.step,
        attention=pipeline.decoder.attention,
        appended={name: b.append_to for name, b in pipeline.branches.items() if b.append_to},
        averaged=[name for name, b in pipeline.branches.items() if b.over_time == "mean"],
        train_embeddings=pipeline.trains("embeddings") and not pipeline.trains("decoder"),
    )
    model.distances.update(_distances(pipeline, shapes))
    model.freeze_the_rest(pipeline)
    return model


def _distances(pipeline: PipelineSettings, shapes: Shapes) -> dict[str, FeatureDistance]:
    return {
        name: FeatureDistance(shapes[name][1])
        for name, branch in pipeline.branches.items()
        if branch.distance
    }


def _regression(pipeline: PipelineSettings, tasks: Tasks, shapes: Shapes) -> RegressionModel:
    with _seeded(pipeline.training.seed):
        projectors = _members(pipeline, shapes, pipeline.regression.width, 1.0)
        return RegressionModel(projectors, pipeline.regression, tasks)


def _members(
    pipeline: PipelineSettings, shapes: Shapes, width: int, embedding_std: float
) -> dict[str, nn.Module]:
    """Each branch's projectors; one member's weights are drawn after another's."""
    members = [_projectors(pipeline, shapes, width, embedding_std) for _ in range(pipeline.members)]
    return {name: gathered([own[name] for own in members]) for name in pipeline.branches}


def _projectors(
    pipeline: PipelineSettings, shapes: Shapes, width: int, embedding_std: float
) -> dict[str, Projector]:
    branches = pipeline.branches
    appended = {name: branch.append_to for name, branch in branches.items() if branch.append_to}
    if appended and pipeline.head == "regression":
        raise TrainError("append_to is for the decoder: the regression baseline pools each branch by itself")
    for name in appended.values():
        if branches[name].projector.standardise:
            raise TrainError(
                f"{name}.projector.standardise takes the statistics of its own features, but other tokens are"
                " appended to them: set standardise = false"
            )
    projectors: dict[str, Projector] = {}
    for name in sorted(branches, key=lambda name: name not in appended):  # what is appended comes first
        (tokens, features), target = shapes[name], appended.get(name)
        tokens += sum(projectors[other].output_tokens for other in appended if appended[other] == name)
        wide, std = (shapes[target][1], 1.0) if target else (width, embedding_std)
        projectors[name] = Projector(branches[name].projector, tokens, features, wide, std)
    return {name: projectors[name] for name in branches}


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
