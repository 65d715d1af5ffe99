"""SRCC and PLCC of the expected score on validation videos, shared out among the processes."""

import math
from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

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
        counts = [sample.dataset for sample in data.samples if sample.said is None]
        asked = any(task.scores for task in tasks.values())
        self.datasets = [n for n in dict.fromkeys(counts) if asked and counts.count(n) >= _FEWEST]
        self._videos = [i for i, sample in enumerate(data.samples) if sample.dataset in self.datasets]

    @property
    def videos(self) -> int:
        """Number of videos that are scored."""
        return len(self._videos)

    def figures(self, model: VideoModel) -> dict[str, float]:
        """`srcc` and `plcc`, the means over the datasets; of several also `srcc/NAME` and `plcc/NAME`."""
        scores = self._scores(model)
        each = {}
        for name in self.datasets:
            own = [i for i in self._videos if self._data.samples[i].dataset == name]
            each[name] = correlations([self._data.samples[i].score for i in own], [scores[i] for i in own])
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
    from scipy.stats import pearsonr, spearmanr  # a second of start-up

    return {
        "srcc": float(spearmanr(mos, scores).statistic),
        "plcc": float(pearsonr(mos, scores).statistic),
    }


def srcc_interval(srcc: float, videos: int) -> tuple[float, float]:
    """The 95 % interval of Spearman's correlation of so many videos, by Fisher's z.

    Its variance is (1 + srcc² / 2) / (videos - 3): Bonett and Wright, Psychometrika 65 (2000), eq. 8.
    """
    if videos <= _FEWEST:
        return -1.0, 1.0
    z = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, srcc)))
    reach = 1.96 * math.sqrt((1 + srcc**2 / 2) / (videos - 3))
    return math.tanh(z - reach), math.tanh(z + reach)


def chosen_by_chance(history: Sequence[Mapping[str, float]], videos: int) -> str | None:
    """What to say where the validation with the best SRCC is one of several that its interval holds."""
    found = [entry["srcc"] for entry in history]
    if len(found) < 2:
        return None
    best = max(found)
    low, high = srcc_interval(best, videos)
    alike = sum(srcc >= low for srcc in found)
    if alike < 2:
        return None
    return (
        f"chosen by its validation SRCC of {best:.3f}, whose 95 % interval with {videos} videos, {low:.3f} to"
        f" {high:.3f}, holds {alike} of {len(found)} validations: the choice among these is by chance."
        ' Set training.select = "last", or validate with more videos'
    )
