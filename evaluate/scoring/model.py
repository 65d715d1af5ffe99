"""Predictions of a trained run: for stored features, and for video files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from config.load import EMBEDDED_MODEL
from config.schema import DatasetSettings, TextForm
from extract.encoders.registry import build_encoder
from extract.executors.devices import device_names
from extract.run.extractor import extract_features
from store.features import FeatureStore
from train.answers.forms import fails, scored
from train.data.branches import video_features
from train.data.items import step_seconds
from train.data.reader import FeatureReader
from train.errors import RunError, TrainError
from train.inference.predict import Prediction, batched
from train.model.distance import USUAL_SHARE
from train.pretrained import TrainedModel, from_pretrained
from train.saving.checkpoint import CONFIG
from train.saving.decoder import DECODER
from train.saving.digests import SUMS
from train.saving.weights import WEIGHTS

BATCH = 16
_EMBEDDED = (
    CONFIG,
    WEIGHTS,
    SUMS,
    *(f"{DECODER}/{name}" for name in ("config.json", WEIGHTS, "tokenizer.json")),
)
"""The files that the embedded model is loaded from."""


def load_trained(folder: Path, device: torch.device | str = "auto") -> TrainedModel:
    """Load a run, or a trained model's folder, for prediction; `auto` is a GPU where there is one.

    Raises RunError where it is neither, NoSuchDevice.
    """
    if folder == EMBEDDED_MODEL and (
        missing := [name for name in _EMBEDDED if not (folder / name).is_file()]
    ):
        raise RunError(
            f"{folder}, the embedded model, lacks {', '.join(missing)}: it is part of the repository, and"
            " `git checkout -- models/embedded` brings it back; `make embedded` trains it anew; --run names"
            " another model"
        )
    trained = from_pretrained(folder, device=device_names(str(device))[0])
    threads = trained.settings.pipeline.training.threads
    if threads is not None:
        torch.set_num_threads(threads)
    return trained


def unpractised(trained: TrainedModel) -> list[str]:
    """A warning where the run learnt its tasks' values alone: free questions are none of them."""
    settings = trained.settings
    talked = any(dataset.conversations for dataset in settings.datasets)
    if talked or any(isinstance(task.form, TextForm) for task in settings.tasks.values()):
        return []
    return [
        f"{trained.folder} has learnt to answer {' and '.join(settings.tasks)} alone, and no free questions:"
        " its answers mean little. Name by --run one that learnt from conversations (docs/assistant.md)"
    ]


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
    """A reader of the very features (by key) that the run was trained on.

    Raises RunError, with the differences, where the store has only others of an encoder.
    """
    for encoder, key in trained.run.feature_keys.items():
        names = {path.name: path for path in store.paths(dataset.name) if path.name.startswith(f"{encoder}@")}
        if names and f"{encoder}@{key}" not in names:
            other = store.open(max(names.values()))
            trained.check_features({encoder: other.specification})
    return FeatureReader(store, dataset, trained.settings.pipeline.branches, trained.run.feature_keys)


def parse_failures(trained: TrainedModel, predictions: Sequence[Prediction]) -> int:
    """How many written answers to the question of the score state none, whatever is made of them."""
    tasks = trained.settings.tasks
    main = scored(tasks)
    return (
        0
        if main is None
        else sum(
            fails(tasks[main].form, prediction.text)
            for prediction in predictions
            if prediction.text is not None
        )
    )


@dataclass(frozen=True)
class FilePrediction:
    """A prediction for a file, or the reason why there is none."""

    video: Path
    prediction: Prediction | None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    """What is peculiar about the file, and about its features."""


def predict_files(trained: TrainedModel, videos: Sequence[Path]) -> Iterator[FilePrediction]:
    """Decode, encode and score each file; an unreadable one gives its reason, and the others go on."""
    device = str(trained.device)
    encoders = {name: build_encoder(encoder, device) for name, encoder in trained.settings.encoders.items()}
    specifications = {name: encoder.specification() for name, encoder in encoders.items()}
    trained.check_features(specifications)
    for video, outcome in zip(videos, extract_features(videos, encoders, device), strict=True):
        if isinstance(outcome, Exception):
            yield FilePrediction(video, None, str(outcome).removeprefix(f"{video}: "))
            continue
        branches, dataset = trained.settings.pipeline.branches, trained.settings.dataset
        used = {name: branch for name, branch in branches.items() if name not in dataset.without}
        features = video_features(
            {n: torch.from_numpy(outcome.features[b.encoder][b.stream]) for n, b in used.items()},
            branches,
            {n: step_seconds(specifications[b.encoder], outcome.info.fps) for n, b in used.items()},
            dataset.minimum_chunks,
        )
        try:
            prediction = trained.predict([features])[0]
            warnings = (*outcome.info.warnings, *_unusual(prediction))
            yield FilePrediction(video, prediction, warnings=warnings)
        except TrainError as error:
            yield FilePrediction(video, None, str(error), outcome.info.warnings)


def _unusual(prediction: Prediction) -> list[str]:
    distance = prediction.distance
    if distance is None or distance <= 1:
        return []
    return [
        f"unlike the videos that the model was trained on: its features lie {distance:.1f} times as far from"
        f" theirs as {USUAL_SHARE:.0%} of these do; the score may mean little"
    ]
