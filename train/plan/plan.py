"""The plan of a training: everything that `python -m train PIPELINE --dry-run` says."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from statistics import fmean

from config.schema import DatasetSettings, DecoderSettings, RunSettings
from store.errors import FeaturesNotFound
from store.features import FeatureStore
from store.labels.files import Label
from train.data.batches import Step, epoch_steps, plan_step, total_steps
from train.data.reader import FeatureReader
from train.data.samples import DatasetSamples, Split
from train.errors import FeaturesMissingError
from train.job import dataset_part
from train.loop.lengths import text_tokens
from train.model.build import build_model
from train.model.quality import QualityModel
from train.model.regression import VideoModel
from train.plan.cost import card, operations
from train.plan.lengths import planned_reader, planned_samples
from train.plan.memory import layer_bytes_per_token, planned_memory
from train.plan.model import planned_config, planned_model, planned_tokenizer
from train.plan.report import Steps, Tokens, TrainingPlan


def make_plan(
    settings: RunSettings,
    store: FeatureStore,
    splits: Mapping[str, Split],
    *,
    seconds: float | None = None,
    processes: int = 1,
    card_name: str | None = None,
) -> TrainingPlan:
    """The plan, found out without weights, and without features where there are none.

    `seconds`: of each video, whatever is stored. Raises TrainError.
    """
    pipeline, training = settings.pipeline, settings.pipeline.training
    chosen = None if card_name is None else card(card_name)
    planned = planned_samples(settings, store, splits, seconds)
    samples, shapes = planned.samples, next(iter(planned.samples.values())).reader.shapes()
    model: VideoModel
    exact, layer_token = True, 0.0
    if pipeline.head == "regression":
        model = build_model(pipeline, settings.tasks, shapes)
    else:
        config = planned_config(pipeline.decoder)
        tokenizer, exact = planned_tokenizer(pipeline.decoder, settings.tasks)
        model = planned_model(pipeline, settings.tasks, shapes, config, tokenizer)
        layer_token = layer_bytes_per_token(pipeline, settings.tasks, shapes, config, tokenizer)
    data = dataset_part(samples, "train")
    text = text_tokens(model, pipeline.tasks)
    tokens = data.tokens(model.tokens_of, text)
    texts = fmean(map(text, data.samples))
    taken = [model.members * count for count in tokens]
    steps = [
        plan_step(videos, taken, training.tokens_per_batch, 0, processes, in_step=pipeline.shards)
        for videos in epoch_steps(len(data), training, 0)
    ]
    total = total_steps(len(data), training)
    largest = _largest(steps, taken)
    room = None if chosen is None else chosen.memory_gb * 1e9
    memory = planned_memory(model, pipeline, layer_token, largest, processes, room)
    decoder = model.decoder if isinstance(model, QualityModel) else None
    work = operations(decoder, tokens, training.epochs, total, model.members)
    trained = model.trainable_parameters()
    return TrainingPlan(
        pipeline=pipeline.name,
        processes=processes,
        samples={dataset.name: dataset.sample for dataset in settings.datasets},
        videos={name: {part: len(own) for part, own in each.parts.items()} for name, each in samples.items()},
        missing={name: len(each.missing) for name, each in samples.items()},
        lengths=planned.lengths,
        feature_bytes=_feature_bytes(settings, samples),
        tokens=_tokens(model, samples, pipeline.tasks, tokens, texts, exact=exact),
        steps=Steps(len(steps), total, fmean(len(step.batches) for step in steps)),
        trained=trained,
        frozen=sum(p.numel() for p in model.parameters()) - sum(trained.values()),
        dtype=_held(pipeline.decoder) if decoder is not None else "float32",
        memory=memory,
        operations=work,
        card=chosen,
        hours=None if chosen is None else work.hours(chosen, processes, memory.recomputed_share),
    )


def _tokens(
    model: VideoModel,
    samples: Mapping[str, DatasetSamples],
    tasks: Sequence[str],
    tokens: Sequence[int],
    text: float,
    *,
    exact: bool,
) -> Tokens:
    longest_task = max(tasks, key=lambda task: model.prompts.text_tokens([task]))
    asked = text_tokens(model, [longest_task])
    context = model.context if isinstance(model, QualityModel) else None
    longest, too_long = 0, list[str]()
    for part in dict.fromkeys(part for each in samples.values() for part in each.parts):
        data = dataset_part(samples, part)
        for sample, length in zip(data.samples, data.tokens(model.tokens_of, asked), strict=True):
            for medium in sample.media:
                model.check_chunks(data.chunks(medium), medium.video)
            longest = max(longest, length)
            if context is not None and length > context:
                too_long.append(f"{sample.dataset}/{sample.video}")
    return Tokens(
        members=model.members,
        visual_mean=fmean(tokens) - text,
        text=round(text),
        text_estimated=not exact,
        longest=longest,
        context=context,
        too_long=too_long,
    )


def _largest(steps: Sequence[Step], tokens: Sequence[int]) -> int:
    """Tokens of the largest pass."""
    batches = [batch.videos for step in steps for batch in step.batches]
    return max(sum(tokens[video] for video in videos) for videos in batches)


def _feature_bytes(settings: RunSettings, samples: Mapping[str, DatasetSamples]) -> dict[str, float]:
    """Of each stream that a branch reads: what is stored of the samples' videos, or would be."""
    return {
        f"{encoder}.{stream}": sum(
            _bytes_of(each.reader, _videos_of(each, branches), encoder, stream) for each in samples.values()
        )
        for (encoder, stream), branches in _streams(settings).items()
    }


def tested_bytes(
    settings: RunSettings,
    store: FeatureStore,
    dataset: DatasetSettings,
    labels: Sequence[Label],
    seconds: float | None,
) -> dict[str, float]:
    """Bytes of features, by encoder and stream, of a dataset that is only tested: stored, or as if extracted.

    `seconds`: of each video, whatever is stored. Raises TrainError.
    """
    reader: FeatureReader | None = None
    if seconds is None:
        with suppress(FeaturesMissingError, FeaturesNotFound):
            reader = FeatureReader(store, dataset, settings.pipeline.branches)
    if reader is None:
        reader, _ = planned_reader(settings, dataset, {"test": labels}, seconds)
    return {
        f"{encoder}.{stream}": _bytes_of(reader, reader.videos(), encoder, stream)
        for (encoder, stream), branches in _streams(settings).items()
        if not branches <= {*dataset.without}
    }


def _streams(settings: RunSettings) -> dict[tuple[str, str], set[str]]:
    """Encoder and stream → the branches that read it."""
    streams: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, branch in settings.pipeline.branches.items():
        streams[branch.encoder, branch.stream].add(name)
    return dict(sorted(streams.items()))


def _bytes_of(reader: FeatureReader, videos: Iterable[str], encoder: str, stream: str) -> float:
    items = sum(reader.length(video, encoder, stream) for video in videos)
    return float(reader.item_bytes(encoder, stream) * items)


def _videos_of(samples: DatasetSamples, branches: set[str]) -> set[str]:
    """The videos that one of the branches reads."""
    media = (medium for part in samples.parts.values() for sample in part for medium in sample.media)
    return {m.video for m in media if m.branches is None or not branches.isdisjoint(m.branches)}


def _held(decoder: DecoderSettings) -> str:
    return decoder.dtype if decoder.quantised == "none" else decoder.quantised
