"""Conversations of a dataset, with the media that they show, as samples to train on."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import PurePosixPath

from config.schema import DatasetSettings, PipelineSettings, RunSettings
from store.labels.conversations import Dialogue
from store.labels.dataset import Record
from store.labels.resolve import IMAGE_EXTENSIONS, resolve
from store.labels.shown import conversations_of, media_ids
from train.answers.conversation import SLOT, Conversation, Message
from train.answers.levels import Levels
from train.data.reader import FeatureReader
from train.data.samples import DatasetSamples, Medium, Sample, Split, dataset_samples, nested_share
from train.errors import FeaturesMissingError, TrainError


def samples_of(
    settings: RunSettings, dataset: DatasetSettings, splits: Mapping[str, Split], reader: FeatureReader
) -> DatasetSamples:
    """One dataset's samples: its videos with scores, or its conversations. Raises TrainError."""
    if dataset.conversations:
        return dialogue_samples(settings, dataset, reader)
    return dataset_samples(settings, dataset, splits[dataset.name], reader)


def dialogue_samples(
    settings: RunSettings, dataset: DatasetSettings, reader: FeatureReader
) -> DatasetSamples:
    """The conversations whose media all have features; of those to train on, the run's share.

    There are no scores to cut levels by: they are of equal widths. Raises FeaturesMissingError where no
    conversation to train on has features, TrainError where the pipeline has no language model, and what
    `conversations_of` raises.
    """
    if settings.pipeline.head == "regression":
        raise TrainError(f"{dataset.name} has conversations, which head = regression cannot learn")
    found = conversations_of(dataset)
    ids = media_ids(found.values())
    written = {own: name for name, own in ids.items()}
    stored = resolve(ids.values(), reader.videos(), written=written).found
    # Pictures have no motion, and need none.
    seen = settings.pipeline.picture_branches
    pictures = resolve(ids.values(), reader.videos(seen), written=written).found if seen else stored
    parts: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    missing = list[str]()
    for split, conversations in found.items():
        samples = parts.setdefault(split, [])
        for said in conversations.used:
            name = f"line {said.line}" if len(found) == 1 else f"{split} line {said.line}"
            videos = [(pictures if _is_picture(medium) else stored).get(ids[medium]) for medium in said.media]
            if None in videos:
                missing.append(name)
            else:
                samples.append(
                    _sample(name, dataset.name, said, [str(video) for video in videos], settings.pipeline)
                )
    if not parts["train"]:
        places = ", ".join(str(each.path) for each in reader.sets.values())
        raise FeaturesMissingError(
            f"no conversation of {dataset.name} to train on has all of its media's features in {places}"
        )
    training = settings.pipeline.training
    parts["train"] = nested_share(parts["train"], training.data_share, training.seed, digest)
    levels = {name: Levels.fit(task.form, range(101)) for name, task in settings.cut.items()}  # type: ignore[arg-type]
    labels: dict[str, Record] = {one.video: (None, part, None) for part in parts for one in parts[part]}
    return DatasetSamples(reader, levels, parts, missing, labels)


def digest(sample: Sample) -> str:
    """16 hexadecimal digits of SHA-256 of what is said about which media."""
    assert sample.said is not None
    return hashlib.sha256(repr((astuple(sample.said), sample.media)).encode()).hexdigest()[:16]


def _sample(
    name: str, dataset: str, said: Dialogue, videos: Sequence[str], pipeline: PipelineSettings
) -> Sample:
    named = zip(videos, said.media, strict=True)
    media = [_medium(dataset, video, written, pipeline) for video, written in named]
    numbers = {medium: number for number, medium in enumerate(dict.fromkeys(media))}
    conversation = conversation_of(said, media, numbers, pipeline)
    return Sample(name, dataset, math.nan, math.nan, {}, tuple(numbers), conversation, said.mark)


def _medium(dataset: str, video: str, written: str, pipeline: PipelineSettings) -> Medium:
    """Of a picture, without the branches of motion."""
    if not _is_picture(written) or len(pipeline.picture_branches) == len(pipeline.branches):
        return Medium(dataset, video)
    return Medium(dataset, video, branches=pipeline.picture_branches)


def _is_picture(written: str) -> bool:
    return PurePosixPath(written).suffix.lower() in IMAGE_EXTENSIONS


def conversation_of(
    said: Dialogue, media: Sequence[Medium], numbers: Mapping[Medium, int], pipeline: PipelineSettings
) -> Conversation:
    """What is said, with the tokens of each medium in its slot.

    Those of one with two slots are divided by the pipeline's `slots`, or else by its branches; what cannot be
    divided so, as a picture without motion, stands in the first.
    """
    filled, shown = list[int](), list[tuple[str, ...] | None]()
    messages = list[Message]()
    for turn in said.turns:
        text = ""
        for part in turn.parts:
            if isinstance(part, str):
                text += part
                continue
            medium = media[part.medium]
            division = pipeline.division(part.parts if medium.branches is None else 1)
            if part.part < len(division):
                text += SLOT
                filled.append(numbers[medium])
                shown.append(division[part.part])
        messages.append(Message(turn.role, text))
    return Conversation(tuple(filled), tuple(messages), tuple(shown) if any(shown) else ())
