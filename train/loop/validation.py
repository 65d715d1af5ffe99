"""SRCC and PLCC of the expected score on validation videos, shared out among the processes."""

from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from scipy.stats import pearsonr, spearmanr

from config.schema import PipelineSettings, TaskSettings
from train.data.batches import Batch, slices
from train.data.loading import QualityDataset, loaded
from train.inference.predict import expected_scores
from train.loop.exhaustion import explains_exhaustion
from train.model.regression import VideoModel

_FEWEST = 3
"""Videos of a dataset below which a correlation says nothing."""


class Validator:
    """Scores the validation videos of all datasets."""

    def __init__(
        self,
        accelerator: Accelerator,
        pipeline: PipelineSettings,
        data: QualityDataset,
        tokens: Sequence[int],
        tasks: Mapping[str, TaskSettings],
    ) -> None:
        """Without a task that asks for opinion scores, there are no `datasets` to validate on."""
        self._accelerator = accelerator
        self._pipeline = pipeline
        self._data = data
        self._tokens = tokens
        counts = [sample.dataset for sample in data.samples]
        asked = any(task.scores for task in tasks.values())
        self.datasets = [n for n in dict.fromkeys(counts) if asked and counts.count(n) >= _FEWEST]
        self._videos = [i for i, sample in enumerate(data.samples) if sample.dataset in self.datasets]

    def figures(self, model: VideoModel) -> dict[str, float]:
        """`srcc` and `plcc`, the means over the datasets; of several also `srcc/NAME` and `plcc/NAME`."""
        scores = self._scores(model)
        each = {}
        for name in self.datasets:
            own = [i for i in self._videos if self._data.samples[i].dataset == name]
            each[name] = correlations([self._data.samples[i].mos for i in own], [scores[i] for i in own])
        figures = {kind: sum(found[kind] for found in each.values()) / len(each) for kind in ("srcc", "plcc")}
        if len(each) > 1:
            figures |= {
                f"{kind}/{name}": value for name, found in each.items() for kind, value in found.items()
            }
        return figures

    def _scores(self, model: VideoModel) -> dict[int, float]:
        own: list[tuple[int, float]] = []
        batches = self._batches()
        settings, device = self._pipeline.training, self._accelerator.device
        with torch.no_grad(), self._accelerator.autocast():
            for batch, features in loaded(self._data, batches, settings, device):
                tokens = [self._tokens[video] for video in batch.videos]
                with explains_exhaustion(self._pipeline, "validating", tokens, device):
                    scores = expected_scores(model, model.visual_tokens([media[0] for media in features]))
                own += zip(batch.videos, scores, strict=True) if batch.counts else ()
        return dict(gather_object(own))

    def _batches(self) -> list[Batch]:
        """One video each, as many on every process: what a sharded decoder gathers, all gather together."""
        here, count = self._accelerator.process_index, self._accelerator.num_processes
        return [
            Batch([videos[min(here, len(videos) - 1)]], counts=here < len(videos))
            for videos in slices(self._videos, count)
        ]


def correlations(mos: Sequence[float], scores: Sequence[float]) -> dict[str, float]:
    """Spearman's and Pearson's correlation; 0 where all scores, or all MOS, are the same."""
    if len(set(scores)) < 2 or len(set(mos)) < 2:
        return {"srcc": 0.0, "plcc": 0.0}
    return {
        "srcc": float(spearmanr(mos, scores).statistic),
        "plcc": float(pearsonr(mos, scores).statistic),
    }
