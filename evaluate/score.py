"""Predictions of a trained run: for stored features, and for video files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from config.schema import DatasetSettings, RunSettings
from extract.encoders.registry import build_encoder
from extract.memory import extract_features
from store.features import FeatureStore
from train.branch import branch_tokens
from train.build import load_model
from train.checkpoint import selected
from train.model import Features, QualityModel
from train.predict import Prediction, batched, predict
from train.reader import FeatureReader
from train.run import Run, load_run

BATCH = 16


@dataclass(frozen=True)
class TrainedModel:
    """A run's model with what it is tied to."""

    folder: Path
    settings: RunSettings
    run: Run
    checkpoint: Path
    model: QualityModel

    def predict(self, videos: Sequence[Features], dataset: str | None = None) -> list[Prediction]:
        """Predictions on the scale 0–100; scores become levels by that dataset's cuts, or the first one's."""
        return predict(self.model, videos, self.run.cuts_for(dataset), self.settings.pipeline.tasks)


def load_trained(folder: Path, device: torch.device | str = "cpu") -> TrainedModel:
    """Load a run for prediction. Raises RunError where the folder is no finished run."""
    settings, run = load_run(folder)
    threads = settings.pipeline.training.threads
    if threads is not None:
        torch.set_num_threads(threads)
    return TrainedModel(folder, settings, run, selected(folder / "checkpoints"), load_model(folder, device))


def predict_stored(
    trained: TrainedModel,
    reader: FeatureReader,
    videos: Sequence[str],
    dataset: str | None = None,
    *,
    quiet: bool = False,
) -> list[Prediction]:
    """Predictions from stored features, in the order of `videos`."""
    features = tqdm((reader.read(v) for v in videos), total=len(videos), desc="predict", disable=quiet)
    return [p for batch in batched(features, BATCH) for p in trained.predict(batch, dataset)]


def run_reader(trained: TrainedModel, store: FeatureStore, dataset: DatasetSettings) -> FeatureReader:
    """A reader of the very features (by key) that the run was trained on."""
    return FeatureReader(store, dataset, trained.settings.pipeline.branches, trained.run.feature_keys)


@dataclass(frozen=True)
class FilePrediction:
    """A prediction for a file, or the reason why there is none."""

    video: Path
    prediction: Prediction | None
    error: str | None


def predict_files(trained: TrainedModel, videos: Sequence[Path]) -> Iterator[FilePrediction]:
    """Decode, encode and score each file; an unreadable one gives its reason, and the others go on."""
    encoders = {name: build_encoder(encoder) for name, encoder in trained.settings.encoders.items()}
    for video, outcome in zip(videos, extract_features(videos, encoders), strict=True):
        if isinstance(outcome, Exception):
            yield FilePrediction(video, None, str(outcome).removeprefix(f"{video}: "))
            continue
        features = {
            name: branch_tokens(
                torch.from_numpy(outcome[branch.encoder][branch.stream]),
                branch,
                trained.settings.dataset.minimum_chunks,
            )
            for name, branch in trained.settings.pipeline.branches.items()
        }
        yield FilePrediction(video, trained.predict([features])[0], None)
