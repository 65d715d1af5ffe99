"""A trained run as predictions are made with it, and its predictions from stored features."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from config.load import EMBEDDED_MODEL
from config.schema import DatasetSettings, TextForm
from extract.executors.devices import device_names
from store.features import FeatureStore
from train.answers.forms import fails, scored
from train.data.reader import FeatureReader
from train.errors import RunError
from train.inference.predict import Prediction, batched
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
