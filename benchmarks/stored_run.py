"""A training run on a small real store: features in the encoders' shapes, a decoder with random weights.

What benchmarks measure, and what they compare between devices, goes through the Trainer, as a run does.
"""

import random
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.tracking import GeneralTracker

from config.load import DEFAULT_FILE, load_settings
from config.schema import RunSettings
from store.features import FeatureStore
from store.labels.files import Label
from train.data.samples import DatasetSamples
from train.job import dataset_part, run_labels, run_samples, run_ties
from train.loop.processes import make_accelerator
from train.loop.sharding import process_group
from train.loop.trainer import Trainer
from train.model.build import assemble
from train.model.decoder import decoder_config, decoder_of, load_tokenizer, weights_dtype
from train.model.quality import QualityModel
from train.plan.lengths import PlannedReader
from train.plan.model import prompts_tokenizer
from train.saving.run import claim_run

SECONDS = (5, 12)
"""LSVQ's shortest and longest videos; lengths are drawn evenly from them."""
TINY = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_TINY_WIDTH = 16


@dataclass(frozen=True)
class StoredRun:
    """Settings, and the samples of all their videos, to train."""

    settings: RunSettings
    samples: dict[str, DatasetSamples]
    device: torch.device

    def model(self, drawn_on: str | None = None) -> QualityModel:
        """The same random weights every time, drawn on the device or on the named one: each draws others."""
        pipeline, tasks = self.settings.pipeline, self.settings.tasks
        shapes = self.samples["LSVQ"].reader.shapes()
        torch.manual_seed(0)
        with torch.device(drawn_on) if drawn_on else self.device:
            decoder = decoder_of(decoder_config(pipeline.decoder), weights_dtype(pipeline))
        return assemble(pipeline, tasks, shapes, decoder, load_tokenizer(pipeline.decoder)).to(self.device)

    @contextmanager
    def trainer(
        self, model: QualityModel, folder: Path, stop_after: int | None = None
    ) -> "Iterator[tuple[Trainer, StepTimes]]":
        """To train the model in the folder, and go on there; and what it notes of each step.

        `stop_after` so many steps, SIGTERM is raised.
        """
        labels = {"LSVQ": run_labels(self.samples["LSVQ"], {}, ())}
        folder.mkdir(exist_ok=True)
        claim_run(folder, run_ties(self.settings, self.samples, labels), labels)
        accelerator = make_accelerator(self.settings.pipeline.training, folder)
        times = StepTimes(stop_after)
        accelerator.log_with = [times]
        training, none = (dataset_part(self.samples, part) for part in ("train", "val"))
        pipeline = self.settings.pipeline
        with process_group(pipeline, accelerator):
            yield Trainer(accelerator, pipeline, model, training, none, folder, quiet=True), times


class StepTimes(GeneralTracker):
    """Keeps what the Trainer logs of each step."""

    name = "step times"
    requires_logging_directory = False

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self._stop_after = stop_after
        self.steps: list[dict[str, float]] = []

    @property
    def tracker(self) -> "StepTimes":
        return self

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Not kept."""

    def log(self, values: dict[str, float], step: int | None = None, **_: Any) -> None:  # noqa: ARG002
        """Keep a step's figures."""
        self.steps.append(values)
        if len(self.steps) == self._stop_after:
            signal.raise_signal(signal.SIGTERM)


def stored_run(
    folder: Path,
    pipeline: str,
    videos: int,
    device: str,
    overrides: Sequence[str] = (),
    *,
    tiny: bool = False,
) -> StoredRun:
    """Features of so many videos for a pipeline, written to `folder`; `tiny`: of no size."""
    file, tokenizer = Path(__file__).parents[1] / DEFAULT_FILE, folder / "tokenizer"
    usual = load_settings(file)
    asked = usual.run(usual.pipelines[pipeline], usual.datasets["LSVQ"]).tasks
    grids = [name for name, branch in usual.pipelines[pipeline].branches.items() if branch.grid]
    prompts_tokenizer(asked).save_pretrained(tokenizer)
    settings = load_settings(
        file,
        [
            f"pipelines.{pipeline}.decoder.tokenizer={tokenizer}",
            f"store.path={folder / 'features'}",
            f"pipelines.{pipeline}.decoder.weights=random:0",
            f"pipelines.{pipeline}.training.trackers=[]",
            *(
                f"pipelines.{pipeline}.decoder.architecture.{name}={size}"
                for name, size in TINY.items()
                if tiny
            ),
            *(f"pipelines.{pipeline}.{override}" for override in overrides),
            *(f"pipelines.{pipeline}.branches.{name}.grid=[1, 1, 2]" for name in grids if tiny),
        ],
    )
    run = settings.run(settings.pipelines[pipeline], settings.datasets["LSVQ"])
    store, lengths = FeatureStore(settings.store.path), random.Random(0)
    seconds = {f"v{number}": float(lengths.randint(*SECONDS)) for number in range(videos)}
    planned = PlannedReader(run, settings.datasets["LSVQ"], seconds)
    for name in run.encoders:
        streams = {branch.stream for branch in run.pipeline.branches.values() if branch.encoder == name}
        shapes = {stream: planned.item_shape(name, stream) for stream in streams}
        shapes = {stream: _small(shape) if tiny else shape for stream, shape in shapes.items()}
        items = {v: {stream: planned.length(v, name, stream) for stream in streams} for v in seconds}
        _write(store, name, shapes, items)
    labels = [Label(video, lengths.uniform(0, 100)) for video in seconds]
    return StoredRun(
        run, run_samples(run, store, {"LSVQ": {"train": labels, "val": []}}), torch.device(device)
    )


def _small(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*(min(2, size) for size in shape[:-1]), _TINY_WIDTH)


def _write(
    store: FeatureStore,
    encoder: str,
    shapes: Mapping[str, tuple[int, ...]],
    items: Mapping[str, Mapping[str, int]],
) -> None:
    """Noise for every video, so many items of each stream; its first number is another in each video."""
    drawn = np.random.default_rng(0)
    longest = {
        stream: (
            0.1 * drawn.standard_normal((max(each[stream] for each in items.values()), *shape), np.float32)
        ).astype(np.float16)
        for stream, shape in shapes.items()
    }
    with store.feature_set("LSVQ", encoder, {"made": "for benchmarks"}).writer() as writer:
        for number, (video, lengths) in enumerate(items.items()):
            for features in longest.values():
                features.flat[0] = number / len(items)
            writer.add(video, {stream: longest[stream][:length] for stream, length in lengths.items()})
