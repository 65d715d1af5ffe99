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
from train.model.members import each, gathered, mean_logits, stacked
from train.model.projectors import perceptron, projected_chunks
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
        members = range(self.members)
        self.pools = nn.ModuleDict(
            {branch: gathered([pool(settings.width) for _ in members]) for branch in projectors}
        )
        self.prompts = Wordless(tasks)
        self._sizes = {name: _outputs(name, task) for name, task in tasks.items()}
        inputs, outputs = len(projectors) * settings.width, sum(self._sizes.values())
        self.head = gathered(
            [perceptron(inputs, settings.hidden, outputs, nn.Dropout(settings.dropout)) for _ in members]
        )

    def tokens_of(self, chunks: Mapping[str, int], shown: Sequence[str] | None = None) -> int:
        """Tokens of a medium with so many chunks of each branch."""
        each_takes = {name: int(p.output_tokens) for name, p in self.projectors.items()}  # type: ignore[arg-type]
        return sum(count * each_takes[name] for name, count in chunks.items() if not shown or name in shown)

    def check_chunks(self, chunks: Mapping[str, int], video: str = "") -> None:
        """Nothing is appended."""

    def check_length(self, tokens: int, video: str = "") -> None:
        """It takes videos of any length."""

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Each branch's projector, and the `head`."""
        projectors = {name: list(projector.parameters()) for name, projector in self.projectors.items()}
        return {**projectors, "head": [*self.pools.parameters(), *self.head.parameters()]}

    def visual_tokens(self, videos: Sequence[Features]) -> list[torch.Tensor]:
        """Each video's pooled tokens [branches * width], in the branches' order.

        With several members [members, branches * width].
        """
        return stacked([self._members_tokens(videos, member) for member in range(self.members)])

    def _members_tokens(self, videos: Sequence[Features], member: int) -> list[torch.Tensor]:
        blocks: list[list[torch.Tensor]] = [[] for _ in videos]
        for branch, projectors in self.projectors.items():
            projector, pool = each(projectors)[member], each(self.pools[branch])[member]
            projected = projected_chunks(projector, branch, videos)  # [K, T', W] each
            for block, tokens in zip(blocks, projected, strict=True):
                block.append(pool(tokens.flatten(0, 1)))
        return [torch.cat(block) for block in blocks]

    def forward(self, videos: Sequence[Features], conversations: Sequence[Conversation]) -> torch.Tensor:
        """float32 loss of each conversation: smooth L1 of a number, by its range; cross-entropy of a word.

        With several members the sum of theirs.
        """
        each_ones = self._each_outputs(self.visual_tokens(videos))
        return torch.stack([self._losses(outputs, conversations) for outputs in each_ones]).sum(dim=0)

    def _losses(
        self, outputs: Mapping[str, torch.Tensor], conversations: Sequence[Conversation]
    ) -> torch.Tensor:
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
        """From pooled tokens: task → numbers [B], not yet bounded, or logits of words [B, words].

        Of several members, the mean of the numbers and of the words' probabilities.
        """
        found = self._each_outputs(visual)
        return {
            name: (torch.mean(each_ones, dim=0) if each_ones.dim() == 2 else mean_logits(each_ones))
            for name in self._sizes
            for each_ones in [torch.stack([outputs[name] for outputs in found])]
        }

    def _each_outputs(self, visual: Sequence[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """Of each member."""
        pooled = torch.stack(list(visual)).float()  # [B, inputs] or [B, members, inputs]
        heads = each(self.head)
        return [
            self._read(head, own)
            for head, own in zip(heads, pooled.view(len(visual), len(heads), -1).unbind(1), strict=True)
        ]

    def _read(self, head: nn.Module, pooled: torch.Tensor) -> dict[str, torch.Tensor]:
        out = head(pooled)  # [B, outputs]
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
