"""The baseline without a language model: scores read off the projected tokens by a small network.

LMM-VQA compares itself with other methods, never with its own features and projectors under a plain head;
this is that comparison. It trains on the same questions, by the same trainer.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from config.schema import RegressionSettings, Task
from train.answers.conversation import SLOT, Conversation, Message, Target
from train.answers.space import LEVELS
from train.data.reader import Features
from train.model.quality import QualityModel

_BETA = 0.1
"""Errors below 10 of 100 points are squared, larger ones count as they are."""


class RegressionModel(nn.Module):
    """Projectors → each branch's tokens pooled to one vector → a small network → score and level.

    The vectors of the branches stand side by side, so that a branch of many tokens does not drown another.
    """

    def __init__(self, projectors: Mapping[str, nn.Module], settings: RegressionSettings) -> None:
        super().__init__()
        self.projectors = nn.ModuleDict(projectors)
        pool = AttentionPool if settings.pooling == "attention" else MeanPool
        self.pools = nn.ModuleDict({branch: pool(settings.width) for branch in projectors})
        self.head = _network(len(projectors) * settings.width, settings)
        self.prompts = Wordless()

    def tokens_per_chunk(self) -> dict[str, int]:
        """See QualityModel."""
        return {name: int(p.output_tokens) for name, p in self.projectors.items()}  # type: ignore[arg-type]

    def check_chunks(self, chunks: Mapping[str, int], video: str = "") -> None:
        """Nothing is appended."""

    def check_length(self, tokens: int, video: str = "") -> None:
        """It takes videos of any length."""

    def trainable_parameters(self) -> dict[str, int]:
        """Each trainable part's name → its number of parameters."""
        parts = {**self.projectors, "head": nn.ModuleList([self.pools, self.head])}
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}

    def visual_tokens(self, videos: Sequence[Features]) -> list[torch.Tensor]:
        """Each video's pooled tokens [branches * width], in the branches' order."""
        blocks: list[list[torch.Tensor]] = [[] for _ in videos]
        for branch, projector in self.projectors.items():
            chunks = [video[branch] for video in videos]  # [K, T, D] each
            projected = projector(torch.cat(chunks))  # [ΣK, T', W]
            for block, tokens in zip(blocks, projected.split([len(c) for c in chunks]), strict=True):
                block.append(self.pools[branch](tokens.flatten(0, 1)))
        return [torch.cat(block) for block in blocks]

    def forward(self, videos: Sequence[Features], conversations: Sequence[Conversation]) -> torch.Tensor:
        """float32 loss of each conversation: smooth L1 of score / 100, cross-entropy of level."""
        scores, levels = self.outputs(self.visual_tokens(videos))
        losses = []
        for conversation in conversations:
            (video,), (target,) = conversation.media, conversation.targets
            if target.task == "score":
                score = scores.new_tensor(float(target.value) / 100)
                losses.append(functional.smooth_l1_loss(scores[video] / 100, score, beta=_BETA))
            else:
                level = torch.tensor(LEVELS.index(str(target.value)), device=levels.device)
                losses.append(functional.cross_entropy(levels[video], level))
        return torch.stack(losses)

    def outputs(self, visual: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores [B] on 0–100, not yet bounded, and level logits [B, 3], from pooled tokens."""
        out = self.head(torch.stack(list(visual)).float())  # [B, 4]
        return 50 + 100 * out[:, 0], out[:, 1:]


class MeanPool(nn.Module):
    """[T, width] → [width]: the tokens' mean."""

    def __init__(self, width: int) -> None:  # noqa: ARG002
        super().__init__()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.mean(dim=0)


class AttentionPool(nn.Module):
    """[T, width] → [width]: the tokens' mean, weighed by a learned query; at the start all weigh alike."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        weights = (tokens @ self.query / tokens.shape[-1] ** 0.5).softmax(dim=0)  # [T]
        return weights @ tokens  # type: ignore[no-any-return]


class Wordless:
    """Stands where a decoder's prompts are: a head without words is asked in one way."""

    def phrasings(self, task: Task) -> int:  # noqa: ARG002
        """Number of ways in which the task's question is put."""
        return 1

    def conversation(
        self, task: Task, phrasing: int = 0, value: float | str | None = None, medium: int = 0
    ) -> Conversation:
        """What is asked of a medium: the value alone, in no words."""
        assert phrasing == 0, "there are no words to vary"
        target = None if value is None else Target(task, value)
        return Conversation((medium,), (Message("user", SLOT), Message("assistant", "", target)))

    def text_tokens(self, tasks: Sequence[Task]) -> int:  # noqa: ARG002
        """It reads the visual tokens alone."""
        return 0


VideoModel = QualityModel | RegressionModel
"""What is trained and predicts."""


def _network(inputs: int, settings: RegressionSettings) -> nn.Sequential:
    layers: list[nn.Module] = []
    widths = [inputs, *settings.hidden]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.GELU(), nn.Dropout(settings.dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1 + len(LEVELS)))
