"""The model: projected visual tokens between the prompt's tokens, answered by the decoder."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from config.schema import StepSettings, TargetSettings
from train.answers.chat import Answer
from train.answers.conversation import Conversation
from train.answers.loss import AnswerLoss
from train.answers.prompts import PromptBuilder
from train.data.reader import Features
from train.errors import ContextExceeded, TrainError
from train.model.groups import GroupedModel
from train.model.members import contexts_of_members, each, stacked
from train.model.packed_decoder import PackedDecoder
from train.model.packing import Layout, embed, lay_out
from train.model.row import Place, Row


class QualityModel(GroupedModel):
    """LMM-VQA (arXiv 2408.14008, eq. 6–10)."""

    def __init__(
        self,
        decoder: PreTrainedModel,
        prompts: PromptBuilder,
        projectors: Mapping[str, nn.Module],
        targets: TargetSettings | None = None,
        *,
        token_order: Literal["blocks", "interleaved"] = "blocks",
        step: StepSettings | None = None,
        attention: Literal["causal", "mmca"] = "causal",
        appended: Mapping[str, str] | None = None,
        averaged: Collection[str] = (),
        train_embeddings: bool = False,
    ) -> None:
        """`appended`: branch → the branch to whose chunks its tokens are appended. `averaged`: the branches
        whose features are averaged over time, so that what is appended to them is, too.

        `train_embeddings`: prompts and answers take a trained copy of the decoder's token embeddings.
        """
        super().__init__()
        self.decoder = decoder
        self.projectors = nn.ModuleDict(projectors)
        self.prompts = prompts
        self.token_order = token_order
        self.appended = dict(appended or {})
        self.averaged = frozenset(averaged)
        self.embeddings: nn.Embedding | None = None
        if train_embeddings:
            table = embedding_table(decoder)
            self.embeddings = nn.Embedding.from_pretrained(
                table.weight.detach().to(torch.float32, copy=True), freeze=False
            )
        self.packed = PackedDecoder(decoder, step or StepSettings(), attention)
        self.spaces = prompts.spaces()
        end = prompts.chat.end_of_turn
        self.loss = AnswerLoss(prompts.tasks, self.spaces, end, targets or TargetSettings())

    def train(self, mode: bool = True) -> "QualityModel":
        """Training mode for projectors and LoRA; the decoder, frozen or not, stays without dropout."""
        super().train(mode)
        self.decoder.eval()
        for name, module in self.decoder.named_modules():
            if "lora_" in name:
                module.train(mode)
        return self

    @property
    def context(self) -> int | None:
        """How many tokens the decoder can read, where there is a limit."""
        limit: int | None = getattr(self.decoder.config.get_text_config(), "max_position_embeddings", None)
        return limit

    def check_length(self, tokens: int, video: str = "the video") -> None:
        """Raise ContextExceeded where a video with its questions is longer than the decoder can read."""
        limit = self.context
        if limit is not None and tokens > limit:
            raise ContextExceeded(
                f"{video} takes {tokens:,} tokens with its questions, but {type(self.decoder).__name__} reads"
                f" at most {limit:,} (max_position_embeddings): fewer tokens a chunk (a branch's `grid`, or"
                " `tokens` of its projector), `over_time = mean`, or a decoder with a longer context"
            )

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Each branch's projector, `lora`, `embeddings` (those that prompts take) and `decoder`, the rest."""
        (table,) = self.table.parameters()
        lora = [parameter for name, parameter in self.decoder.named_parameters() if "lora_" in name]
        own = set(self.decoder.parameters()) - {table, *lora}
        return {
            **{name: list(projector.parameters()) for name, projector in self.projectors.items()},
            "lora": lora,
            "embeddings": [table],
            "decoder": [parameter for parameter in self.decoder.parameters() if parameter in own],
        }

    def visual_tokens(self, videos: Sequence[Features]) -> list[torch.Tensor]:
        """Each video's tokens [V, width]: one block a branch, in the branches' order (eq. 8).

        With several members [members, V, width]. A medium may lack a branch, as a picture has no motion.

        Or `interleaved`: chunk after chunk in the order of their beginnings, a video's k-th of n chunks at
        k / n of its length; of those that begin together the first branch's is first. Where the branches have
        the same chunks, that is the tokens of all branches second by second.
        """
        return stacked([self._members_tokens(videos, member) for member in range(self.members)])

    def _members_tokens(self, videos: Sequence[Features], member: int) -> list[torch.Tensor]:
        chunks: list[list[tuple[float, torch.Tensor]]] = [[] for _ in videos]
        videos = self._with_appended(videos, member)
        for branch, projectors in self.projectors.items():
            if branch in self.appended:
                continue
            places = [place for place, video in enumerate(videos) if branch in video]
            if not places:
                continue
            counts = [len(videos[place][branch]) for place in places]
            features = torch.cat([videos[place][branch] for place in places])
            projected = each(projectors)[member](features)  # [ΣK, T', H]
            for place, tokens in zip(places, projected.split(counts), strict=True):
                chunks[place] += [(number / len(tokens), chunk) for number, chunk in enumerate(tokens)]
        if self.token_order == "interleaved":
            for found in chunks:
                found.sort(key=lambda chunk: chunk[0])
        return [torch.cat([tokens for _, tokens in found]) for found in chunks]

    def _with_appended(self, videos: Sequence[Features], member: int) -> list[dict[str, torch.Tensor]]:
        """The features with the tokens that are appended to a branch behind that branch's own."""
        found = [dict(video) for video in videos]
        for branch, target in self.appended.items():
            having = [video for video in found if branch in video and target in video]
            if not having:
                continue
            counts = [len(video[branch]) for video in having]
            projector = each(self.projectors[branch])[member]
            projected = projector(torch.cat([video[branch] for video in having]))
            for video, own_tokens in zip(having, projected.float().split(counts), strict=True):
                tokens = own_tokens.mean(dim=0, keepdim=True) if target in self.averaged else own_tokens
                self.check_chunks({branch: len(tokens), target: len(video[target])})
                video[target] = torch.cat([video[target].float(), tokens], dim=1)
        return found

    def check_chunks(self, chunks: Mapping[str, int], video: str = "the video") -> None:
        """Raise TrainError where a branch has not as many chunks as the one that it is appended to."""
        for branch, target in self.appended.items():
            both = branch in chunks and target in chunks
            if both and target not in self.averaged and chunks[branch] != chunks[target]:
                raise TrainError(
                    f"{video} has {chunks[branch]} chunks of {branch}, but {chunks[target]} of {target}, to"
                    " which they are appended: set first_chunks of both branches, or over_time = mean"
                )

    @property
    def table(self) -> nn.Embedding:
        """The token embeddings that prompts and answers take."""
        return self.embeddings or embedding_table(self.decoder)

    def tokens_per_chunk(self) -> dict[str, int]:
        """Branch → tokens that a chunk takes in the decoder."""
        return {
            name: 0 if name in self.appended else int(p.output_tokens)  # type: ignore[arg-type]
            for name, p in self.projectors.items()
        }

    def forward(self, media: Sequence[Features], conversations: Sequence[Conversation]) -> torch.Tensor:
        """Loss of each conversation's answers (see AnswerLoss): float32 [conversations].

        With several members the sum of theirs, each the loss that the member would have alone.
        """
        packed = self.pack(self.visual_tokens(media), conversations)
        logits = self.packed.logits(self.decoder, packed.embeddings, packed.layout, packed.rows)  # [A, vocab]
        losses = self.loss(logits[packed.reads], packed.answers)
        return losses.view(self.members, -1).sum(dim=0)

    def pack(
        self, media: Sequence[torch.Tensor], conversations: Sequence[Conversation]
    ) -> "PackedConversations":
        """All conversations in one row, those about the same media behind the same tokens [V, width] of them.

        With several members, all conversations about one's tokens [members, V, width] follow another's.
        Conversations that differ before their last medium share no context.
        """
        row, table = Row(media), self.table
        answers, reads, places = [], list[int](), dict[Place, int]()
        for conversation in conversations:
            pieces = self.prompts.chat.pieces(conversation)
            answers.append([piece for piece in pieces if isinstance(piece, Answer)])
            # Conversations that share an earlier turn read at the same place.
            reads += [places.setdefault(place, len(places)) for place in row.add(pieces)]
        device, members = table.weight.device, range(self.members)
        contexts = contexts_of_members(row.contexts, self.members)
        lead = self.packed.lead(contexts)
        layout = lay_out(contexts, device, len(lead))
        rows = [
            layout.segments[member * len(row.contexts) + context].start + token - len(lead)
            for member in members
            for context, token in places
        ]
        return PackedConversations(
            embed(contexts, table, lead).to(self.decoder.dtype),
            layout,
            torch.tensor(rows, device=device),
            torch.tensor([member * len(places) + at for member in members for at in reads], device=device),
            answers * self.members,
        )


@dataclass(frozen=True)
class PackedConversations:
    """A row of all conversations, and where their answers are read."""

    embeddings: torch.Tensor
    """[1, tokens, width]."""
    layout: Layout
    rows: torch.Tensor
    """Places of the row whose logits are wanted, each once."""
    reads: torch.Tensor
    """[A]: in which of `rows` each answer token, and each end of turn, is predicted."""
    answers: list[list[Answer]]
    """What should be read there, conversation by conversation, of each member."""


def embedding_table(decoder: PreTrainedModel) -> nn.Embedding:
    """The decoder's token embeddings [vocabulary, width]."""
    table = decoder.get_input_embeddings()
    assert isinstance(table, nn.Embedding), (
        f"{type(decoder).__name__} embeds tokens by {type(table).__name__}"
    )
    return table
