"""The model: projected visual tokens between the prompt's tokens, answered by the decoder."""

from collections.abc import Collection, Mapping, Sequence
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
from train.errors import ContextExceeded, ConversationError, TrainError
from train.model.groups import GroupedModel
from train.model.members import contexts_of_members, each, stacked
from train.model.order import block_spans, in_blocks, interleaved, part_of, with_parts
from train.model.packed_decoder import PackedDecoder
from train.model.packing import embed, lay_out
from train.model.projectors import projected_chunks
from train.model.row import PackedConversations, Place, Row


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
        slots: Sequence[Sequence[str]] = (),
        max_tokens: int | None = None,
        step: StepSettings | None = None,
        attention: Literal["causal", "mmca"] = "causal",
        appended: Mapping[str, str] | None = None,
        averaged: Collection[str] = (),
        train_embeddings: bool = False,
    ) -> None:
        """`slots`: the branches of each of a video's slots; one of all of them where not given. `max_tokens`:
        longer sequences are refused, even where the decoder could read them.

        `appended`: branch → the branch to whose chunks its tokens are appended. `averaged`: the branches
        whose features are averaged over time, so that what is appended to them is, too.

        `train_embeddings`: prompts and answers take a trained copy of the decoder's token embeddings.
        """
        super().__init__()
        self.decoder = decoder
        self.projectors = nn.ModuleDict(projectors)
        self.prompts = prompts
        self.token_order = token_order
        self.appended = dict(appended or {})
        self.slots = slots or [[name for name in projectors if name not in self.appended]]
        self.max_tokens = max_tokens
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
        own: int | None = getattr(self.decoder.config.get_text_config(), "max_position_embeddings", None)
        return min((limit for limit in (own, self.max_tokens) if limit is not None), default=None)

    def check_length(self, tokens: int, video: str = "the video") -> None:
        """Raise ContextExceeded where a video with its questions is longer than the decoder can read."""
        limit = self.context
        if limit is not None and tokens > limit:
            whose = "decoder.max_tokens" if limit == self.max_tokens else "max_position_embeddings"
            raise ContextExceeded(
                f"{video} takes {tokens:,} tokens with its questions, but {type(self.decoder).__name__} reads"
                f" at most {limit:,} ({whose}), and nothing is cut off: fewer chunks (a branch's `at_most`),"
                " fewer tokens a chunk (a branch's `grid`, or `tokens` of its projector), `over_time = mean`,"
                " or a decoder with a longer context"
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
        """Each video's tokens [V, width]: one block a branch, in the branches' order (eq. 8), or the slots'.

        With several members [members, V, width]. A medium may lack a branch, as a picture has no motion.

        Or `interleaved`: chunk after chunk in the order of their beginnings. Where it is not known how long
        chunks are, a video's k-th of n chunks is at k / n of its length.
        """
        return stacked([self._members_tokens(videos, member) for member in range(self.members)])

    def _members_tokens(self, videos: Sequence[Features], member: int) -> list[torch.Tensor]:
        blocks: list[dict[str, torch.Tensor]] = [{} for _ in videos]
        ends: dict[str, torch.Tensor] = {}
        videos = self._with_appended(videos, member)
        for branch, projectors in self.projectors.items():
            if branch in self.appended:
                continue
            places = [place for place, video in enumerate(videos) if branch in video]
            if not places:
                continue
            projector = each(projectors)[member]
            projected = projected_chunks(projector, branch, [videos[place] for place in places])
            for place, tokens in zip(places, projected, strict=True):
                blocks[place][branch] = tokens  # [K, T', H]
            if getattr(projector, "end", None) is not None:
                ends[branch] = projector.end  # type: ignore[assignment]
        if self.token_order == "interleaved":
            return [interleaved(own, video) for own, video in zip(blocks, videos, strict=True)]
        return [in_blocks(own, ends, self.slots) for own in blocks]

    def _with_appended(self, videos: Sequence[Features], member: int) -> list[dict[str, torch.Tensor]]:
        """The features with the tokens that are appended to a branch behind that branch's own."""
        found = [dict(video) for video in videos]
        for branch, target in self.appended.items():
            having = [video for video in found if branch in video and target in video]
            if not having:
                continue
            projected = projected_chunks(each(self.projectors[branch])[member], branch, having)
            for video, own_tokens in zip(having, projected, strict=True):
                tokens = own_tokens.float()
                tokens = tokens.mean(dim=0, keepdim=True) if target in self.averaged else tokens
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

    def tokens_of(self, chunks: Mapping[str, int], shown: Sequence[str] | None = None) -> int:
        """Tokens that a medium with so many chunks of each branch takes in the decoder.

        `shown`: the branches that a slot shows; None: all of its slots.
        """
        spans = self._spans(chunks)
        sizes = {name: span.stop - span.start for name, span in spans.items()}
        named = [name for slot in self.slots for name in slot] if shown is None else shown
        return sum(sizes.get(name, 0) for name in named)

    def _spans(self, chunks: Mapping[str, int]) -> dict[str, slice]:
        """Branch → where its block first stands among a medium's tokens."""
        tokens = {name: int(p.output_tokens) for name, p in self.projectors.items()}  # type: ignore[arg-type]
        ends = {name for name, p in self.projectors.items() if getattr(each(p)[0], "end", None) is not None}
        return block_spans(chunks, tokens, ends, self.slots)

    def part(self, video: Features, tokens: torch.Tensor, branches: Sequence[str]) -> torch.Tensor:
        """The blocks of some branches from a medium's tokens [..., V, width].

        Raises ConversationError where it has none of them, or no blocks since it is interleaved.
        """
        if self.token_order == "interleaved":
            raise ConversationError("interleaved tokens have no blocks that slots could show")
        counts = {name: len(video[name]) for name in self.projectors if name in video}
        return part_of(tokens, self._spans(counts), branches)

    def forward(self, media: Sequence[Features], conversations: Sequence[Conversation]) -> torch.Tensor:
        """Loss of each conversation's answers (see AnswerLoss): float32 [conversations].

        With several members the sum of theirs, each the loss that the member would have alone.
        """
        tokens = self.visual_tokens(media)
        packed = self.pack(
            *with_parts(tokens, conversations, lambda n, branches: self.part(media[n], tokens[n], branches))
        )
        logits = self.packed.logits(self.decoder, packed.embeddings, packed.layout, packed.rows)  # [A, vocab]
        losses = self.loss(logits[packed.reads], packed.answers)
        return losses.view(self.members, -1).sum(dim=0)

    def pack(
        self, media: Sequence[torch.Tensor], conversations: Sequence[Conversation]
    ) -> PackedConversations:
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


def embedding_table(decoder: PreTrainedModel) -> nn.Embedding:
    """The decoder's token embeddings [vocabulary, width]."""
    table = decoder.get_input_embeddings()
    assert isinstance(table, nn.Embedding), (
        f"{type(decoder).__name__} embeds tokens by {type(table).__name__}"
    )
    return table
