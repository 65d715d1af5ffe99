"""Build a model from settings; load a trained one from its folder."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from config.schema import PipelineSettings, PromptSettings
from train.checkpoint import checkpoint_of, load_weights
from train.decoder import add_lora, check_vocabulary, load_decoder, load_tokenizer
from train.description import check_decoder, read_description
from train.model import QualityModel, embedding_table
from train.projectors import Projector
from train.prompts import PromptBuilder
from train.regression import RegressionModel, VideoModel

Shapes = Mapping[str, tuple[int, int]]
"""Branch → (tokens, features) of a chunk."""


def build_model(
    pipeline: PipelineSettings,
    prompts: PromptSettings,
    shapes: Shapes,
    device: torch.device | str | None = None,
) -> VideoModel:
    """The untrained model: projectors before the frozen decoder, or before the regression head.

    The initial weights of all that trains come from the training seed alone. `device` is where the decoder
    is loaded to (see `load_decoder`); all else is on the CPU.
    """
    if pipeline.head == "regression":
        with _seeded(pipeline.training.seed):
            projectors = _projectors(pipeline, shapes, pipeline.regression.width, 1.0)
            return RegressionModel(projectors, pipeline.regression)
    decoder = load_decoder(pipeline.decoder, device)
    tokenizer = load_tokenizer(pipeline.decoder)
    check_vocabulary(decoder, tokenizer)
    builder = PromptBuilder(tokenizer, prompts, pipeline.decoder.chat_template)
    embeddings = embedding_table(decoder).weight
    embedding_std = 1.0 if embeddings.is_meta else float(embeddings.float().std())
    with _seeded(pipeline.training.seed):
        if pipeline.decoder.lora is not None:
            add_lora(decoder, pipeline.decoder.lora)
        projectors = _projectors(pipeline, shapes, embeddings.shape[1], embedding_std)
    return QualityModel(
        decoder,
        builder,
        projectors,
        pipeline.training.targets,
        token_order=pipeline.token_order,
        step=pipeline.training.step,
    )


def load_model(folder: Path, device: torch.device | str = "cpu", decoder: str | None = None) -> VideoModel:
    """A trained model in evaluation mode, from a run (its selected checkpoint) or a checkpoint's folder.

    `decoder` is a folder or hub id of the frozen decoder, where it does not lie where it did in training.
    Raises RunError where the folder is incomplete, damaged, of a later format, or of another decoder.
    """
    checkpoint = checkpoint_of(folder)
    settings, run = read_description(checkpoint)
    pipeline = settings.pipeline
    if decoder is not None:
        moved = pipeline.decoder.model_copy(update={"weights": decoder, "revision": None})
        pipeline = pipeline.model_copy(update={"decoder": moved})
    check_decoder(checkpoint, pipeline, run)
    device = torch.device(device)
    model = build_model(pipeline, settings.prompts, run.shapes, None if device.type == "cpu" else device)
    load_weights(checkpoint, model)
    return model.to(device).eval()


def _projectors(
    pipeline: PipelineSettings, shapes: Shapes, width: int, embedding_std: float
) -> dict[str, Projector]:
    return {
        name: Projector(branch.projector, *shapes[name], width, embedding_std)
        for name, branch in pipeline.branches.items()
    }


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
