"""One training run from settings to checkpoints: labels, features, split, model, training."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from config.schema import RunSettings
from store.errors import FeaturesNotFound
from store.features import FeatureStore
from store.labels.dataset import labels_digest
from train.data.loading import QualityDataset
from train.data.reader import FeatureReader
from train.data.samples import DatasetSamples, Split, dataset_samples, require_answers
from train.errors import FeaturesMissingError
from train.loop.processes import make_accelerator
from train.loop.trainer import Outcome, Trainer
from train.model.build import build_model
from train.model.regression import VideoModel
from train.saving.identity import decoder_identity
from train.saving.run import Run, claim_run, clear_run, library_versions
from train.saving.start import describe_start, load_start

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
    accelerator = make_accelerator(settings.pipeline.training, folder)
    samples = _samples(settings, store, splits, keys)
    run = _ties(settings, samples)
    if start is not None:
        run = replace(run, start=describe_start(start, settings.pipeline, run))
    if restart and accelerator.is_main_process:
        clear_run(folder)
    with accelerator.main_process_first():
        claim_run(folder, settings, run, {name: each.labels for name, each in samples.items()})

    threads = settings.pipeline.training.threads
    if threads is not None:
        torch.set_num_threads(threads)
    model = build_model(settings.pipeline, settings.tasks, run.shapes)
    training, validation = _part(samples, "train"), _part(samples, "val")
    fit_standardisation(model, training)
    if start is not None:
        load_start(start, model)
    if not quiet and accelerator.is_main_process:
        _announce(settings, run, model, samples)
    trainer = Trainer(accelerator, settings.pipeline, model, training, validation, folder, quiet=quiet)
    outcome = trainer.fit()
    counts = {name: {part: len(ids) for part, ids in split.items()} for name, split in run.split.items()}
    missing = {name: each.missing for name, each in samples.items()}
    return TrainedRun(folder, outcome, counts, missing, model.trainable_parameters())


def fit_standardisation(model: VideoModel, training: QualityDataset) -> None:
    """Fit the projectors' z-scores on the training split's features, and on nothing else."""
    for branch, projector in model.projectors.items():
        if projector.standardise is not None:
            media = (medium for i in range(len(training)) for medium in training[i] if branch in medium)
            rows = (medium[branch].flatten(0, 1) for medium in media)  # [K * T, D] each
            projector.standardise.fit(rows)  # type: ignore[operator,union-attr]


def _samples(
    settings: RunSettings,
    store: FeatureStore,
    splits: Mapping[str, Split],
    keys: Mapping[str, str] | None,
) -> dict[str, DatasetSamples]:
    """Each dataset's samples; all datasets' features have the keys of the first one's."""
    keys = keys or {name: encoder.key for name, encoder in settings.encoders.items() if encoder.key}
    samples: dict[str, DatasetSamples] = {}
    for dataset in settings.datasets:
        try:
            reader = FeatureReader(store, dataset, settings.pipeline.branches, keys)
            samples[dataset.name] = dataset_samples(settings, dataset, splits[dataset.name], reader)
        except (FeaturesMissingError, FeaturesNotFound) as error:
            raise FeaturesMissingError(
                f"{error}\n  first run: make extract DATASET={dataset.name} PIPELINE={settings.pipeline.name}"
            ) from error
        keys = reader.keys
    require_answers(settings.tasks, samples)
    return samples


def _part(samples: Mapping[str, DatasetSamples], part: str) -> QualityDataset:
    own = [sample for each in samples.values() for sample in each.parts.get(part, [])]
    return QualityDataset(own, {name: each.reader for name, each in samples.items()})


def _ties(settings: RunSettings, samples: Mapping[str, DatasetSamples]) -> Run:
    reader, pipeline = next(iter(samples.values())).reader, settings.pipeline
    return Run(
        feature_keys=reader.keys,
        shapes=reader.shapes(),
        levels={task: {name: each.levels[task] for name, each in samples.items()} for task in settings.cut},
        split={
            name: {part: [sample.video for sample in own] for part, own in each.parts.items()}
            for name, each in samples.items()
        },
        versions=library_versions(),
        specifications={encoder: features.specification for encoder, features in reader.sets.items()},
        decoder=decoder_identity(pipeline.decoder) if pipeline.head == "decoder" else None,
        labels={name: labels_digest(each.labels) for name, each in samples.items()},
    )


def _announce(
    settings: RunSettings, run: Run, model: VideoModel, samples: Mapping[str, DatasetSamples]
) -> None:
    for dataset, split in run.split.items():
        counts = ", ".join(f"{len(ids)} {part}" for part, ids in split.items())
        log.info("%s on %s: %s videos", settings.pipeline.name, dataset, counts)
        _announce_missing(dataset, samples[dataset].missing)
    for encoder, key in run.feature_keys.items():
        log.info("features reused: %s@%s", encoder, key)
    parts = ", ".join(f"{name} {count:,}" for name, count in model.trainable_parameters().items())
    log.info("trainable parameters: %s; everything else is frozen", parts)


def _announce_missing(dataset: str, missing: Sequence[str]) -> None:
    if missing:
        shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        log.warning(
            "%d labelled videos of %s have no features and are left out: %s", len(missing), dataset, shown
        )
