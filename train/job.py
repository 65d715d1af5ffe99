"""One training run from settings to checkpoints: labels, features, split, model, training."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from config.schema import RunSettings
from store.dataset import join_split
from store.features import FeatureStore
from store.labels import Label
from store.mos import MosScale
from train.build import build_model
from train.data import FeatureReader, QualityDataset, Sample
from train.errors import FeaturesMissingError
from train.identity import decoder_identity
from train.levels import LevelCuts
from train.regression import VideoModel
from train.run import Run, claim_run, library_versions
from train.trainer import Outcome, Trainer

log = logging.getLogger(__name__)

Split = Mapping[str, Sequence[Label]]
"""train, val, test… → labels."""


@dataclass(frozen=True)
class TrainedRun:
    """A finished run."""

    folder: Path
    outcome: Outcome
    videos: dict[str, int]
    """Split → number of videos."""
    missing: list[str]
    """Labelled videos without features."""
    trainable: dict[str, int]


def train_run(
    settings: RunSettings,
    store: FeatureStore,
    split: Split,
    folder: Path,
    *,
    quiet: bool = False,
    keys: Mapping[str, str] | None = None,
) -> TrainedRun:
    """Train the pipeline on the split's `train` videos, choosing the checkpoint on its `val` videos.

    A folder that holds an unfinished run of the same settings, features and split is continued. Raises
    FeaturesMissingError where the store has no features of them, RunError where the folder holds another run.
    """
    chosen = {name: encoder.key for name, encoder in settings.encoders.items() if encoder.key}
    reader = FeatureReader(store, settings.dataset, settings.pipeline.branches, keys or chosen)
    present, missing = join_split(split, reader.videos())
    if not present.get("train"):
        raise FeaturesMissingError(
            f"none of the {len(missing)} labelled videos of {settings.dataset.name} has features in"
            f" {', '.join(str(s.path) for s in reader.sets.values())};"
            f" first run: make extract DATASET={settings.dataset.name} PIPELINE={settings.pipeline.name}"
        )
    scale = MosScale(*settings.dataset.mos_range)
    cuts = LevelCuts.fit([scale.to_100(label.mos) for label in present["train"]])
    samples = {name: [_sample(label, scale, cuts) for label in labels] for name, labels in present.items()}
    split_ids = {name: [sample.video for sample in part] for name, part in samples.items()}
    pipeline = settings.pipeline
    run = Run(
        reader.keys,
        reader.shapes(),
        cuts,
        split_ids,
        library_versions(),
        {encoder: features.specification for encoder, features in reader.sets.items()},
        decoder_identity(pipeline.decoder) if pipeline.head == "decoder" else None,
    )
    claim_run(folder, settings, run)

    model = build_model(settings.pipeline, settings.prompts, run.shapes)
    training = QualityDataset(samples["train"], reader)
    validation = QualityDataset(samples["val"], reader) if samples.get("val") else None
    fit_standardisation(model, training)
    if not quiet:
        _announce(settings, run, model, missing)
    trainer = Trainer(settings.pipeline, model, training, validation, folder, quiet=quiet)
    outcome = trainer.fit()
    counts = {name: len(part) for name, part in samples.items()}
    return TrainedRun(folder, outcome, counts, missing, trainer.bare_model.trainable_parameters())


def fit_standardisation(model: VideoModel, training: QualityDataset) -> None:
    """Fit the projectors' z-scores on the training split's features, and on nothing else."""
    for branch, projector in model.projectors.items():
        if projector.standardise is not None:
            rows = [training[i][1][branch].flatten(0, 1) for i in range(len(training))]  # [K * T, D] each
            projector.standardise.fit(torch.cat(rows))  # type: ignore[operator,union-attr]


def _sample(label: Label, scale: MosScale, cuts: LevelCuts) -> Sample:
    score = scale.to_100(label.mos)
    return Sample(label.video, label.mos, score, cuts.level(score))


def _announce(settings: RunSettings, run: Run, model: VideoModel, missing: Sequence[str]) -> None:
    counts = ", ".join(f"{len(ids)} {name}" for name, ids in run.split.items())
    log.info("%s on %s: %s videos", settings.pipeline.name, settings.dataset.name, counts)
    if missing:
        shown = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        log.warning("%d labelled videos have no features and are left out: %s", len(missing), shown)
    for encoder, key in run.feature_keys.items():
        log.info("features reused: %s@%s", encoder, key)
    parts = ", ".join(f"{name} {count:,}" for name, count in model.trainable_parameters().items())
    log.info("trainable parameters: %s; everything else is frozen", parts)
