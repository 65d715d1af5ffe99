"""Build a model from settings; load a trained one from its run."""

from collections.abc import Mapping
from pathlib import Path

import torch

from config.schema import PipelineSettings, PromptSettings
from train.checkpoint import load_weights, selected
from train.decoder import add_lora, load_decoder, load_tokenizer
from train.model import QualityModel, embedding_table
from train.projectors import Projector
from train.prompts import PromptBuilder
from train.run import load_run


def build_model(
    pipeline: PipelineSettings, prompts: PromptSettings, shapes: Mapping[str, tuple[int, int]]
) -> QualityModel:
    """The untrained model; `shapes` gives (tokens, features) of a chunk for every branch.

    The projectors' initial weights come from the training seed alone.
    """
    decoder = load_decoder(pipeline.decoder)
    builder = PromptBuilder(load_tokenizer(pipeline.decoder), prompts, pipeline.decoder.chat_template)
    embeddings = embedding_table(decoder).weight
    embedding_std = 1.0 if embeddings.is_meta else float(embeddings.float().std())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(pipeline.training.seed)
        if pipeline.decoder.lora is not None:
            add_lora(decoder, pipeline.decoder.lora)
        projectors = {
            name: Projector(branch.projector, *shapes[name], embeddings.shape[1], embedding_std)
            for name, branch in pipeline.branches.items()
        }
    return QualityModel(
        decoder,
        builder,
        projectors,
        pipeline.training.score_sigma,
        token_order=pipeline.token_order,
        step=pipeline.training.step,
    )


def load_model(folder: Path, device: torch.device | str = "cpu") -> QualityModel:
    """A run's trained model in evaluation mode, from its selected checkpoint."""
    settings, run = load_run(folder)
    model = build_model(settings.pipeline, settings.prompts, run.shapes)
    load_weights(selected(folder / "checkpoints"), model)
    return model.to(device).eval()
