"""The baseline without a language model: scores read off the projected tokens by a small network.

LMM-VQA compares itself with other methods, never with its own features and projectors under a plain head;
this is that comparison. It trains on the same questions, by the same trainer.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from config.schema import NumberForm, RegressionSettings, TaskSettings, TextForm
from train.answers.conversation import SLOT, Conversation, Message, Target
from train.answers.forms import Value
from train.data.reader import Features
from train.errors import TrainError
from train.model.groups import GroupedModel
from train.model.projectors import perceptron
from train.model.quality import QualityModel

_BETA = 0.1
"""Errors below a tenth of the range are squared, larger ones count as they are."""


class RegressionModel(GroupedModel):
    """Projectors → each branch's tokens pooled to one vector → a small network → each task's answer.

    The vectors of the branches stand side by side, so that a branch of many tokens does not drown another.
    Raises TrainError for a task of free text.
    """

    def __init__(
        self,
        projectors: Mapping[str, nn.Module],
        settings: RegressionSettings,
        tasks: Mapping[str, TaskSettings],
    ) -> None:
        super().__init__()
        self.projectors = nn.ModuleDict(projectors)
        pool = AttentionPool if settings.pooling == "attention" else MeanPool
        self.pools = nn.ModuleDict({branch: pool(settings.width) for branch in projectors})
        self.prompts = Wordless(tasks)
        self._sizes = {name: _outputs(name, task) for name, task in tasks.items()}
        inputs, outputs = len(projectors) * settings.width, sum(self._sizes.values())
        self.head = perceptron(inputs, settings.hidden, outputs, nn.Dropout(settings.dropout))

    def tokens_per_chunk(self) -> dict[str, int]:
        """See QualityModel."""
        return {name: int(p.output_tokens) for name, p in self.projectors.items()}  # type: ignore[arg-type]

    def check_chunks(self, chunks: Mapping[str, int], video: str = "") -> None:
        """Nothing is appended."""

    def check_length(self, tokens: int, video: str = "") -> None:
        """It takes videos of any length."""

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Each branch's projector, and the `head`."""
        projectors = {name: list(projector.parameters()) for name, projector in self.projectors.items()}
        return {**projectors, "head": [*self.pools.parameters(), *self.head.parameters()]}

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
        """float32 loss of each conversation: smooth L1 of a number, by its range; cross-entropy of a word."""
        outputs = self.outputs(self.visual_tokens(videos))
        losses = []
        for conversation in conversations:
            (video,), (target,) = conversation.media, conversation.targets
            found, form = outputs[target.task][video], self.prompts.tasks[target.task].form
            if isinstance(form, NumberForm):
                span = form.high - form.low
                wanted = found.new_tensor(float(target.value) / span)
                losses.append(functional.smooth_l1_loss(found / span, wanted, beta=_BETA))
            else:
                assert not isinstance(form, TextForm)
                word = torch.tensor(list(form.words).index(str(target.value)), device=found.device)
                losses.append(functional.cross_entropy(found, word))
        return torch.stack(losses)

    def outputs(self, visual: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """From pooled tokens: task → numbers [B], not yet bounded, or logits of words [B, words]."""
        out = self.head(torch.stack(list(visual)).float())  # [B, outputs]
        found = dict(zip(self._sizes, out.split(list(self._sizes.values()), dim=1), strict=True))
        for name, task in self.prompts.tasks.items():
            if isinstance(form := task.form, NumberForm):
                found[name] = form.low + (form.high - form.low) * (0.5 + found[name][:, 0])
        return found


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

    def __init__(self, tasks: Mapping[str, TaskSettings]) -> None:
        self.tasks = dict(tasks)

    def phrasings(self, task: str) -> int:  # noqa: ARG002
        """Number of ways in which the task's question is put."""
        return 1

    def conversation(
        self, task: str, phrasing: int = 0, value: Value | None = None, medium: int = 0
    ) -> Conversation:
        """What is asked of a medium: the value alone, in no words."""
        assert phrasing == 0, "there are no words to vary"
        target = None if value is None else Target(task, value)
        return Conversation((medium,), (Message("user", SLOT), Message("assistant", "", target)))

    def text_tokens(self, tasks: Sequence[str]) -> int:  # noqa: ARG002
        """It reads the visual tokens alone."""
        return 0


VideoModel = QualityModel | RegressionModel
"""What is trained and predicts."""


def _outputs(name: str, task: TaskSettings) -> int:
    if isinstance(task.form, TextForm):
        raise TrainError(f"the task {name!r} asks for text, which head = regression cannot write")
    return 1 if isinstance(task.form, NumberForm) else len(task.form.words)
