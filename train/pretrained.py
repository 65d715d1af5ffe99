"""A trained model by one call: from a run, an exported folder, or a repository of the Hugging Face hub."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from config.schema import RunSettings
from train.answers.conversation import Message
from train.answers.levels import Levels
from train.data.reader import Features
from train.errors import RunError, TrainError
from train.inference.chat import reply
from train.inference.predict import Prediction, predict
from train.inference.talk import Talk
from train.model.build import build_model
from train.model.hub import first_line, model_folder
from train.model.regression import RegressionModel, VideoModel
from train.saving.checkpoint import CARD, CONFIG, checkpoint_of
from train.saving.decoder import DECODER, frozen, with_decoder_in
from train.saving.digests import SUMS
from train.saving.identity import check_decoder
from train.saving.run import RUN, Run, load_run, read_run
from train.saving.weights import ADAPTER, WEIGHTS, load_weights

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_FILES = (CONFIG, WEIGHTS, f"{ADAPTER}/*", f"{DECODER}/*", SUMS, CARD)


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with what it is tied to."""

    folder: Path
    """Of the run, or of the model where it came alone."""
    run: Run
    checkpoint: Path
    model: VideoModel

    @property
    def settings(self) -> RunSettings:
        """The run's settings."""
        return self.run.settings

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.projectors.parameters()).device

    def predict(self, videos: Sequence[Features], dataset: str | None = None) -> list[Prediction]:
        """Predictions on the scale 0–100; a video is branch → [K, tokens, features].

        Scores become levels by the cuts of that dataset, or of the first that was trained on.
        """
        return predict(self.model, videos, self.levels(dataset), self.settings.pipeline.std_scale)

    def reply(self, media: Sequence[Features], messages: Sequence[Message], **generation: Any) -> str:
        """What the language model says next in a conversation about media (train.inference.chat)."""
        return reply(self.model, media, messages, **generation)

    def talk(self, media: Sequence[Features] = ()) -> Talk:
        """A conversation of several turns, which reads media and earlier turns once."""
        return Talk(self.model, media)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The decoder's, as streamers of text want it. Raises TrainError where the model writes none."""
        if isinstance(self.model, RegressionModel):
            raise TrainError("the regression baseline has no language model, which could write text")
        return self.model.prompts.chat.tokenizer

    def levels(self, dataset: str | None = None) -> Levels | None:
        """What turns that dataset's scores into levels: its own cuts, or those of the first trained on."""
        task = next(iter(self.settings.cut), None)
        return None if task is None else self.run.levels_for(task, dataset)

    def check_features(self, specifications: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise RunError, with the differences, where features are not of the kind trained on.

        `specifications`: encoder → what is behind its feature key.
        """
        self.run.check_features(self.checkpoint, specifications)


def from_pretrained(
    place: str | Path,
    revision: str | None = None,
    device: torch.device | str = "auto",
    decoder: str | None = None,
) -> TrainedModel:
    """The trained model in evaluation mode, ready for `predict`.

    `place`: a run's folder (its selected checkpoint), a checkpoint's or exported folder, or a hub id, of
    which `revision` names a commit, branch or tag. `device`: `auto` is a GPU where there is one. `decoder`:
    where the frozen language model lies, if not where it lay in training. Raises RunError where the model is
    absent, incomplete, damaged, of a later format, or of another decoder than is found; DecoderMissingError
    where none is found.
    """
    folder = _folder(str(place), revision)
    checkpoint = checkpoint_of(folder)
    # A run's own description is the newer one: what it names may lie elsewhere by now.
    run = load_run(folder) if (folder / RUN).is_file() else read_run(checkpoint / CONFIG)
    pipeline = run.settings.pipeline
    own = (checkpoint / DECODER).is_dir()
    if own and decoder is not None:
        raise RunError(f"{checkpoint} holds its own decoder, which was trained: leave out {decoder!r}")
    if own:
        pipeline = frozen(with_decoder_in(checkpoint, pipeline))
    elif decoder is not None:
        moved = pipeline.decoder.model_copy(update={"weights": decoder, "revision": None})
        pipeline = pipeline.model_copy(update={"decoder": moved})
    if not own:
        check_decoder(checkpoint, pipeline, run.decoder)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    model = build_model(pipeline, run.settings.tasks, run.shapes, None if device.type == "cpu" else device)
    load_weights(checkpoint, model)
    return TrainedModel(folder, run, checkpoint, model.to(device).eval())


def _folder(place: str, revision: str | None) -> Path:
    if not Path(place).expanduser().is_dir() and not _HUB_ID.fullmatch(place):
        raise RunError(f"{place} is not a folder, nor a hub id such as user/model")
    try:
        return model_folder(place, revision, _FILES)
    except (OSError, ValueError) as error:
        raise RunError(
            f"{place} is no folder here and could not be fetched from the Hugging Face hub:"
            f" {first_line(error)}"
        ) from error
