"""One training run from settings to checkpoints: labels, features, split, model, training."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from config.schema import MOS, DatasetSettings, PipelineSettings, RunSettings
from store.errors import FeaturesNotFound
from store.features import FeatureStore
from store.format.fingerprint import subset_hash
from train.answers.forms import Value
from train.data.dialogues import digest, samples_of
from train.data.loading import QualityDataset
from train.data.reader import FeatureReader
from train.data.samples import DatasetSamples, Split, require_answers
from train.errors import FeaturesMissingError, RunError
from train.loop.processes import explains_lost_processes, make_accelerator
from train.loop.sharding import loads_to, process_group
from train.loop.trainer import Outcome, Trainer
from train.model.build import build_model
from train.model.members import each
from train.model.regression import VideoModel
from train.saving.decoder import with_decoder_in
from train.saving.folder import owned
from train.saving.identity import decoder_identity
from train.saving.labels import Labelled
from train.saving.run import FeatureTie, Part, Run, claim_run, library_versions
from train.saving.start import describe_start, weights_of
from train.saving.weights import load_common_weights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedRun:
    """A finished run."""

    folder: Path
    outcome: Outcome
    videos: dict[str, dict[str, int]]
    """Dataset → split → number of videos."""
    missing: dict[str, list[str]]
    """Dataset → labelled videos without features."""
    trainable: dict[str, int]


def train_run(
    settings: RunSettings,
    store: FeatureStore,
    splits: Mapping[str, Split],
    folder: Path,
    *,
    quiet: bool = False,
    keys: Mapping[str, str] | None = None,
    restart: bool = False,
    start: Path | None = None,
) -> TrainedRun:
    """Train the pipeline on the `train` videos of each dataset's split, choosing the checkpoint on `val`.

    A folder that holds an unfinished run of the same settings, features and split is continued; `restart`
    removes it first. `start` is another run, or a published model's folder, whose weights a new run begins
    with, and whose statistics of the features it keeps. Raises FeaturesMissingError where the store has no
    features of a dataset, RunError where the folder holds another run or one of other labels, or where the
    start does not fit, and what `Trainer.fit` raises.
    """
    if settings.pipeline.training.epochs == 0 and start is None:
        raise RunError("training.epochs = 0 is for a run that is what it starts from: name that with --from")
    accelerator = make_accelerator(settings.pipeline.training, folder)
    samples = run_samples(settings, store, splits, keys)
    columns = [name for name, task in settings.tasks.items() if task.label != MOS]
    labels = {name: run_labels(samples[name], splits.get(name, {}), columns) for name in samples}
    run = run_ties(settings, samples, labels, start)
    pipeline, place = settings.pipeline, loads_to(settings.pipeline, accelerator)
    with (
        explains_lost_processes(),
        _owned_by_main(accelerator, folder, run, labels, restart),
        process_group(pipeline, accelerator),
    ):
        if pipeline.training.threads is not None:
            torch.set_num_threads(pipeline.training.threads)
        begins = pipeline if start is None else with_decoder_in(weights_of(start), pipeline)
        model = build_model(begins, settings.tasks, run.shapes, place)
        training, validation = dataset_part(samples, "train"), dataset_part(samples, "val")
        fit_standardisation(model, training)
        if start is not None:  # the other processes get what the main one has
            weights = weights_of(start)
            _by_main(accelerator, lambda: load_common_weights(weights, model))
        fit_distances(model, training)  # of this training's videos, whatever the start has seen
        if not quiet and accelerator.is_main_process:
            _announce(settings, run, model, samples)
        outcome = Trainer(accelerator, pipeline, model, training, validation, folder, quiet=quiet).fit()
    counts = {name: {part: of.videos for part, of in split.items()} for name, split in run.split.items()}
    missing = {name: each.missing for name, each in samples.items()}
    return TrainedRun(folder, outcome, counts, missing, model.trainable_parameters())


@contextmanager
def _owned_by_main(
    accelerator: Accelerator, folder: Path, run: Run, labels: Mapping[str, Labelled], restart: bool
) -> Iterator[None]:
    """Within the block, the folder is this training's."""
    with ExitStack() as stack:

        def claim() -> None:
            stack.enter_context(owned(folder))
            claim_run(folder, run, labels, restart)

        _by_main(accelerator, claim)
        yield


def _by_main(accelerator: Accelerator, action: Callable[[], None]) -> None:
    """Do it in the main process alone. What refuses it stops all."""
    refusal: list[RunError | None] = [None]
    if accelerator.is_main_process:
        try:
            action()
        except RunError as error:
            refusal = [error]
    broadcast_object_list(refusal)
    if refusal[0] is not None:
        raise refusal[0]


def fit_standardisation(model: VideoModel, training: QualityDataset) -> None:
    """Fit the projectors' statistics on the training split's features, and on nothing else."""
    for branch, projectors in model.projectors.items():
        standardise = each(projectors)[0].standardise  # one for all members
        if standardise is not None:
            rows = (features.flatten(0, 1) for features in training.shown(branch))  # [K * T, D] each
            standardise.fit(rows)  # type: ignore[operator,union-attr]


def fit_distances(model: VideoModel, training: QualityDataset) -> None:
    """Learn how the training split's features are spread, for the branches that ask for it."""
    for branch, distance in model.distances.items():
        distance.fit(training.shown(branch))  # type: ignore[operator]


def run_samples(
    settings: RunSettings,
    store: FeatureStore,
    splits: Mapping[str, Split],
    keys: Mapping[str, str] | None = None,
) -> dict[str, DatasetSamples]:
    """Each dataset's samples; all datasets' features have the keys of the first one's.

    `splits`: of datasets with opinion scores; conversations are read here. Raises FeaturesMissingError.
    """
    readers = run_readers(settings, store, keys)
    samples: dict[str, DatasetSamples] = {}
    for dataset in settings.datasets:
        with _says_how_to_extract(dataset, settings.pipeline):
            samples[dataset.name] = samples_of(settings, dataset, splits, readers[dataset.name])
    require_answers(settings.tasks, samples)
    return samples


def run_readers(
    settings: RunSettings, store: FeatureStore, keys: Mapping[str, str] | None = None
) -> dict[str, FeatureReader]:
    """Each dataset's reader; all datasets' features have the keys of the first one's.

    Raises FeaturesMissingError.
    """
    keys = keys or {name: encoder.key for name, encoder in settings.encoders.items() if encoder.key}
    readers: dict[str, FeatureReader] = {}
    for dataset in settings.datasets:
        with _says_how_to_extract(dataset, settings.pipeline):
            readers[dataset.name] = FeatureReader(store, dataset, settings.pipeline.branches, keys)
        keys = readers[dataset.name].keys
    return readers


@contextmanager
def _says_how_to_extract(dataset: DatasetSettings, pipeline: PipelineSettings) -> Iterator[None]:
    try:
        yield
    except (FeaturesMissingError, FeaturesNotFound) as error:
        raise FeaturesMissingError(
            f"{error}\n  first run: make extract DATASET={dataset.name} PIPELINE={pipeline.name}"
        ) from error


def dataset_part(samples: Mapping[str, DatasetSamples], part: str) -> QualityDataset:
    """That part of all datasets' splits together."""
    own = [sample for each in samples.values() for sample in each.parts.get(part, [])]
    return QualityDataset(own, {name: each.reader for name, each in samples.items()})


def run_labels(samples: DatasetSamples, split: Split, asked: Sequence[str]) -> Labelled:
    """`asked`: the tasks that ask for columns of the labels. `split`: none of conversations."""
    missing = set(samples.missing)
    split = split or dict.fromkeys(samples.parts, ())
    answers: dict[str, dict[str, Value]] = {}
    for one in (one for part in samples.parts.values() for one in part):
        for name in asked:
            if name in one.answers:
                answers.setdefault(name, {})[one.video] = one.answers[name]
        if one.said is not None:
            answers.setdefault("conversation", {})[one.video] = digest(one)
    return Labelled(
        videos={one.video: samples.labels[one.video] for part in samples.parts.values() for one in part},
        missing={
            part: [label.video for label in labels if label.video in missing]
            for part, labels in split.items()
        },
        answers={**{name: {} for name in asked}, **answers},
    )


def run_ties(
    settings: RunSettings,
    samples: Mapping[str, DatasetSamples],
    labels: Mapping[str, Labelled],
    start: Path | None = None,
) -> Run:
    """What a run on the samples is tied to."""
    reader, pipeline = next(iter(samples.values())).reader, settings.pipeline
    features = {
        encoder: FeatureTie(key=each.key, specification=each.specification)
        for encoder, each in reader.sets.items()
    }
    return Run(
        settings=settings,
        features=features,
        shapes=reader.shapes(),
        levels={task: {name: each.levels[task] for name, each in samples.items()} for task in settings.cut},
        split={
            name: {part: Part(videos=len(ids), subset=subset_hash(ids)) for part, ids in each.split.items()}
            for name, each in labels.items()
        },
        decoder=decoder_identity(pipeline.decoder) if pipeline.head == "decoder" else None,
        start=None if start is None else describe_start(start, pipeline, features),
        versions=library_versions(),
    )


def _announce(
    settings: RunSettings, run: Run, model: VideoModel, samples: Mapping[str, DatasetSamples]
) -> None:
    of = {dataset.name: dataset.sample for dataset in settings.datasets}
    for dataset, split in run.split.items():
        counts = ", ".join(f"{part.videos} {name}" for name, part in split.items())
        log.info("%s on %s: %s %ss", settings.pipeline.name, dataset, counts, of[dataset])
        _announce_missing(dataset, of[dataset], samples[dataset].missing)
    for encoder, key in run.feature_keys.items():
        log.info("features reused: %s@%s", encoder, key)
    for name, count in model.trainable_parameters().items():
        rate, decay = settings.pipeline.rates(name)
        log.info(
            "%s trains: %s parameters, learning rate %g, weight decay %g", name, f"{count:,}", rate, decay
        )
    log.info("everything else is frozen")


def _announce_missing(dataset: str, of: str, missing: Sequence[str]) -> None:
    if missing:
        shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        log.warning(
            "%d labelled %ss of %s have no features and are left out: %s", len(missing), of, dataset, shown
        )
