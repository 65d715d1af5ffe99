"""A cell of a protocol: one method, trained and tested in one trial."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from config.schema import DatasetSettings, RunSettings
from evaluate.protocols.svr import svr_scores, video_means
from evaluate.protocols.trials import Trial, dataset_of
from evaluate.scoring.model import load_trained, predict_stored, run_reader
from store.features import FeatureStore
from store.labels.dataset import join_split, label_records
from store.labels.files import Label, MosScale
from train.answers.forms import fails, scored
from train.data.reader import FeatureReader
from train.errors import FeaturesMissingError
from train.inference.predict import Prediction
from train.job import run_readers, train_run
from train.pretrained import TrainedModel
from train.saving.checkpoint import checkpoint_of
from train.saving.digests import SUMS

SVR = "svr"
"""The baseline's name."""


@dataclass(frozen=True)
class TestedVideo:
    """What a method says of a video; scores on the scale 0–100 that the method learnt."""

    video: str
    mos: float
    score: float | None
    std: float | None = None
    generate: float | None = None
    """The score that the written answer states."""
    level: str | None = None
    """The true level."""
    level_pred: str | None = None
    level_generate: str | None = None
    fails: bool = False
    """The written answer states no score."""


@dataclass(frozen=True)
class Tested:
    """A method's answers in one trial."""

    trained: int
    """Videos that it learnt from."""
    tests: dict[str, list[TestedVideo]]
    """Test set → its videos that have features."""
    missing: dict[str, int]
    """Test set → labelled videos without features."""
    writes: bool = False
    """Whether it writes answers."""
    std_scale: float | None = None
    """What its standard deviations were multiplied by; None where it gives none."""
    parameters: int | None = None
    """How many it trained."""
    tokens: float | None = None
    """Visual tokens of a tested video, in the mean."""
    seconds_per_video: float | None = None
    """From stored features to the answer; measured, so never twice the same."""


@dataclass(frozen=True)
class Cell:
    """One method in one trial; what it finds is for `evaluate.protocols.kept` to keep."""

    method: str
    """The pipeline's name, or SVR."""
    trial: Trial
    run: RunSettings
    """Of the pipeline on all datasets that are involved; SVR reads that one's features."""
    store: FeatureStore
    folder: Path
    """The protocol's."""
    start: Path | None = None
    """The run that a training begins with."""
    restart: bool = False
    """Train anew where there is a run."""

    @property
    def name(self) -> str:
        """For people, and below the protocol's folder."""
        return f"{self.method}/{self.trial.name}"

    @property
    def place(self) -> Path:
        """The run's folder."""
        return self.folder / self.method / self.trial.name

    def test(self) -> Tested:
        """Train, or take the finished run, and test it.

        Raises FeaturesMissingError where no video of a test set has features, and what training raises.
        """
        if empty := [name for name, (present, _) in self._tests.items() if not present]:
            raise FeaturesMissingError(
                f"none of the videos of {empty[0]} that {self.trial.name} tests has features; first run:"
                f" make extract DATASET={dataset_of(empty[0])} PIPELINE={self.run.pipeline.name}"
            )
        return self._by_svr() if self.method == SVR else self._by_pipeline()

    def digest(self) -> str:
        """16 hexadecimal digits, equal for equal settings, features, labels and start."""
        run = self.own
        parts = {
            "method": self.method,
            "pipeline": self._learns(run),
            "tasks": [task.model_dump(mode="json") for task in (*run.tasks.values(), *run.cut.values())],
            "datasets": [_what_counts(dataset) for dataset in self.run.datasets],
            "keys": {name: reader.keys for name, reader in self._readers.items()},
            "trained": {name: sorted(label_records(split).items()) for name, split in self._trained.items()},
            "tested": {
                name: sorted(label_records({name: present}).items())
                for name, (present, _) in self._tests.items()
            },
            "start": None if self.start is None else (checkpoint_of(self.start) / SUMS).read_text(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def _learns(self, run: RunSettings) -> dict[str, Any]:
        """What of the pipeline's settings changes a result: of the SVR, which features it reads."""
        if self.method != SVR:
            return run.pipeline.model_dump(mode="json")
        branches = run.pipeline.branches.items()
        return {name: branch.model_dump(mode="json", exclude={"projector"}) for name, branch in branches}

    @cached_property
    def own(self) -> RunSettings:
        """The settings of the trial's run: its datasets, its seed."""
        training = self.run.pipeline.training
        training = training.model_copy(update={"seed": training.seed + self.trial.seed})
        return RunSettings.model_validate(
            {
                **dict(self.run),
                "pipeline": self.run.pipeline.model_copy(update={"training": training}),
                "datasets": tuple(each for each in self.run.datasets if each.name in self.trial.splits),
            }
        )

    @cached_property
    def _readers(self) -> dict[str, FeatureReader]:
        needed = {*self.trial.splits, *map(dataset_of, self.trial.tested)}
        datasets = tuple(each for each in self.run.datasets if each.name in needed)
        return run_readers(self.run.model_copy(update={"datasets": datasets}), self.store)

    @cached_property
    def _trained(self) -> dict[str, dict[str, list[Label]]]:
        """Dataset → its split's videos with features."""
        return {
            name: {
                part: list(labels)
                for part, labels in join_split(split, self._readers[name].videos())[0].items()
            }
            for name, split in self.trial.splits.items()
        }

    @cached_property
    def _tests(self) -> dict[str, tuple[list[Label], list[str]]]:
        """Test set → its videos with features, and those without."""
        found = {}
        for name, labels in self.trial.tested.items():
            present, missing = join_split({"test": labels}, self._readers[dataset_of(name)].videos())
            found[name] = (list(present["test"]), missing)
        return found

    def _scale(self, test: str) -> MosScale:
        return MosScale.of(self._settings(test))

    def _settings(self, test: str) -> DatasetSettings:
        (dataset,) = (each for each in self.run.datasets if each.name == dataset_of(test))
        return dataset

    def _by_pipeline(self) -> Tested:
        run = train_run(
            self.own,
            self.store,
            self.trial.splits,
            self.place,
            quiet=True,
            restart=self.restart,
            start=self.start,
        )
        trained = load_trained(self.place)
        tests, tokens, began = dict[str, list[TestedVideo]](), list[int](), time.perf_counter()
        for name, (labels, _) in self._tests.items():
            reader = run_reader(trained, self.store, self._settings(name))
            videos = [label.video for label in labels]
            said = predict_stored(trained, reader, videos, dataset_of(name), quiet=True)
            tests[name] = list(self._rows(trained, name, labels, said))
            tokens += [trained.model.tokens_of(reader.chunks(video)) for video in videos]
        spreads = any(video.std for videos in tests.values() for video in videos)
        return self._tested(
            sum(parts["train"] for parts in run.videos.values()),
            tests,
            writes=trained.settings.pipeline.head == "decoder",
            std_scale=trained.settings.pipeline.std_scale if spreads else None,
            parameters=sum(trained.model.trainable_parameters().values()),
            tokens=float(np.mean(tokens)) if tokens else None,
            seconds_per_video=(time.perf_counter() - began) / len(tokens) if tokens else None,
        )

    def _rows(
        self, trained: TrainedModel, test: str, labels: Sequence[Label], said: Sequence[Prediction]
    ) -> Iterator[TestedVideo]:
        scale, levels, main = (
            self._scale(test),
            trained.levels(dataset_of(test)),
            scored(trained.settings.tasks),
        )
        for label, found in zip(labels, said, strict=True):
            mos = scale.to_100(label.mos)
            yield TestedVideo(
                video=label.video,
                mos=mos,
                score=found.score,
                std=found.std,
                generate=found.score_generate,
                level=None if levels is None else levels.level(mos),
                level_pred=found.level,
                level_generate=found.level_generate,
                fails=main is not None
                and found.text is not None
                and fails(trained.settings.tasks[main].form, found.text),
            )

    def _by_svr(self) -> Tested:
        learnt = {name: split["train"] for name, split in self._trained.items()}
        began = time.perf_counter()
        predicted = svr_scores(
            self._means(learnt),
            [self._scale(name).to_100(label.mos) for name, labels in learnt.items() for label in labels],
            self._means({name: labels for name, (labels, _) in self._tests.items()}),
            [f"{name}: {label.group or label.video}" for name, labels in learnt.items() for label in labels],
        )
        scores = iter(predicted.tolist())
        tests = {
            name: [
                TestedVideo(label.video, self._scale(name).to_100(label.mos), next(scores))
                for label in labels
            ]
            for name, (labels, _) in self._tests.items()
        }
        count = sum(map(len, learnt.values()))
        return self._tested(count, tests, seconds_per_video=(time.perf_counter() - began) / len(predicted))

    def _means(self, labels: Mapping[str, Sequence[Label]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.concatenate(
            [
                video_means(self._readers[dataset_of(name)], [label.video for label in own])
                for name, own in labels.items()
            ]
        )

    def _tested(self, trained: int, tests: dict[str, list[TestedVideo]], **further: Any) -> Tested:
        missing = {name: len(missing) for name, (_, missing) in self._tests.items()}
        return Tested(trained, tests, missing, **further)


def _what_counts(dataset: DatasetSettings) -> dict[str, Any]:
    """What of a dataset's settings changes a result, beside its labels: not where its files are."""
    return dataset.model_dump(
        mode="json", include={"name", "mos_range", "aligned", "minimum_chunks", "without"}
    )
