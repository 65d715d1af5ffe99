"""One trial of a protocol: every pipeline trained on its videos and tested, beside the baseline."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from config.schema import DatasetSettings, ProtocolSettings, RunSettings
from evaluate.metrics.spread import Spread, spread_of
from evaluate.protocols.outcome import ScoredVideos, SplitResult
from evaluate.protocols.svr import svr_scores, video_means
from evaluate.protocols.trials import Trial
from evaluate.scoring.model import load_trained, parse_failures, predict_stored, run_reader
from store.features import FeatureStore
from store.labels.dataset import join_split
from store.labels.files import Label, MosScale
from train.data.reader import FeatureReader
from train.errors import FeaturesMissingError
from train.inference.predict import Prediction
from train.job import train_run
from train.pretrained import TrainedModel


def run_trial(
    trial: Trial,
    *,
    protocol: ProtocolSettings,
    runs: Sequence[RunSettings],
    store: FeatureStore,
    folder: Path,
    starts: Mapping[str, Path],
    restart: bool,
) -> SplitResult:
    """Train every pipeline into `folder`/PIPELINE/TRIAL, or take its finished run, and test it.

    The other arguments are those of `run_protocol`. Raises FeaturesMissingError where none of a dataset's
    tested videos has features, and what training raises.
    """
    trained = []
    for settings in runs:
        here = folder / settings.pipeline.name / trial.name
        begin = starts.get(settings.pipeline.name)
        train_run(
            _of_trial(settings, trial), store, trial.splits, here, quiet=True, restart=restart, start=begin
        )
        trained.append(load_trained(here))
    return _test(protocol, runs[0].datasets, trained, store, trial)


def _of_trial(settings: RunSettings, trial: Trial) -> RunSettings:
    """The settings of the trial's run: its datasets, its seed."""
    training = settings.pipeline.training
    training = training.model_copy(update={"seed": training.seed + trial.seed})
    return RunSettings.model_validate(
        {
            **dict(settings),
            "pipeline": settings.pipeline.model_copy(update={"training": training}),
            "datasets": tuple(dataset for dataset in settings.datasets if dataset.name in trial.splits),
        }
    )


def _test(
    protocol: ProtocolSettings,
    datasets: Sequence[DatasetSettings],
    trained: Sequence[TrainedModel],
    store: FeatureStore,
    trial: Trial,
) -> SplitResult:
    rows = {
        dataset.name: _Rows(
            dataset,
            [run_reader(one, store, dataset) for one in trained],
            trial.splits.get(dataset.name, {}).get("train", ()),
            trial.tested.get(dataset.name, ()),
        )
        for dataset in datasets
    }
    tested = [rows[name] for name in trial.tested]
    if empty := [each.dataset.name for each in tested if not each.test]:
        raise FeaturesMissingError(f"none of the videos of {empty[0]} that {trial.name} tests has features")
    scores, failures, spread = _predicted(trained, tested)
    if protocol.baseline == "svr":
        by_svr = _svr([rows[name] for name in trial.splits], tested)
        for found, own in zip(scores, by_svr, strict=True):
            found["svr"] = own
    parts = [ScoredVideos(each.scores(each.test), own) for each, own in zip(tested, scores, strict=True)]
    return SplitResult(
        trial.name,
        sum(len(each.train) for each in rows.values()),
        sum(len(each.test) for each in tested),
        failures,
        ScoredVideos.together(parts).figures(),
        {each.dataset.name: part.figures() for each, part in zip(tested, parts, strict=True)},
        spread,
    )


def _predicted(
    trained: Sequence[TrainedModel], tested: Sequence["_Rows"]
) -> tuple[list[dict[str, list[float | None]]], dict[str, int], dict[str, Spread]]:
    """Of each dataset, method → scores of its test videos; pipeline → parse failures, and → spread."""
    scores: list[dict[str, list[float | None]]] = [{} for _ in tested]
    failures, spreads = dict[str, int](), dict[str, Spread]()
    for number, one in enumerate(trained):
        name, everything = one.settings.pipeline.name, list[Prediction]()
        for each, found in zip(tested, scores, strict=True):
            videos = [label.video for label in each.test]
            said = predict_stored(one, each.readers[number], videos, each.dataset.name, quiet=True)
            everything += said
            found[f"{name}, expected"] = [prediction.score for prediction in said]
            if one.settings.pipeline.head == "decoder":
                found[f"{name}, generate"] = [prediction.score_generate for prediction in said]
        if one.settings.pipeline.head == "decoder":
            failures[name] = parse_failures(one, everything)
        mos = [score for each in tested for score in each.scores(each.test)]
        spread = spread_of(mos, everything, one.settings.pipeline.std_scale)
        if spread is not None:
            spreads[name] = spread
    return scores, failures, spreads


def _svr(learnt: Sequence["_Rows"], tested: Sequence["_Rows"]) -> list[list[float | None]]:
    """Of each tested dataset, the scores by one regressor that has learnt from all training videos."""
    predicted = svr_scores(
        np.concatenate([each.means(each.train) for each in learnt]),
        [score for each in learnt for score in each.scores(each.train)],
        np.concatenate([each.means(each.test) for each in tested]),
        [f"{each.dataset.name}: {label.group or label.video}" for each in learnt for label in each.train],
    )
    ends = np.cumsum([len(each.test) for each in tested])[:-1]
    return [part.tolist() for part in np.split(predicted, ends)]


class _Rows:
    """A dataset's videos of a trial that all pipelines have features of."""

    def __init__(
        self,
        dataset: DatasetSettings,
        readers: Sequence[FeatureReader],
        train: Sequence[Label],
        test: Sequence[Label],
    ) -> None:
        self.dataset = dataset
        self.readers = readers
        stored = set.intersection(*(reader.videos() for reader in readers))
        present, _ = join_split({"train": train, "test": test}, stored)
        self.train, self.test = present["train"], present["test"]

    def means(self, labels: Sequence[Label]) -> NDArray[np.float64]:
        return video_means(self.readers[0], [label.video for label in labels])

    def scores(self, labels: Sequence[Label]) -> list[float]:
        scale = MosScale.of(self.dataset)
        return [scale.to_100(label.mos) for label in labels]
