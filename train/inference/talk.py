"""A conversation about media that are read once: keys and values of what was read stay for the next turn.

What is asked for is always the whole conversation, as if nothing had been read before. Of the tokens with
which it begins, those that the cache holds are not read again, and what follows is cut off the cache: the
answer is that of a conversation without a cache, up to the rounding of sums.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation.streamers import BaseStreamer

from train.answers.chat import Slot
from train.answers.conversation import SLOT, Conversation, Message
from train.data.reader import Features
from train.errors import ConversationError, TrainError
from train.model.members import contexts_of_members, mean_logits
from train.model.packing import Context, Part, TokenTree, embed
from train.model.regression import RegressionModel, VideoModel


class Talk:
    """Media that were shown, and what the decoder has read of them and of the messages."""

    def __init__(self, model: VideoModel, media: Sequence[Features] = ()) -> None:
        """Raises TrainError where the model writes no text.

        That is the regression baseline, and a decoder that attends in LMM-VQA's released way, which
        `generate` does not know.
        """
        if isinstance(model, RegressionModel):
            raise TrainError("the regression baseline has no language model, which could write text")
        if model.packed.mmca:
            raise TrainError(
                "a decoder with attention = mmca answers tasks, not free conversation: add a task of text"
            )
        self._model = model
        self._visual: list[torch.Tensor] = []
        self._numbers: list[int] = []
        """Of the media, no number of which comes twice."""
        self._next = count()
        self._cache = DynamicCache(config=model.decoder.config)
        self._read: list[int] = []
        """What the cache holds: a token's id, or -1 - n of a token of medium n."""
        for each in media:
            self.show(each)

    @property
    def shown(self) -> int:
        """How many slots the media that were shown fill."""
        return len(self._visual)

    @torch.inference_mode()
    def show(self, medium: Features, *slots: Sequence[str] | None) -> None:
        """One more medium: it fills the messages' next slot, or several, each with some branches' tokens.

        None, and the one slot where none is given, have those of all. Raises ConversationError where the
        medium has none of a slot's branches.
        """
        device = next(self._model.projectors.parameters()).device
        on_device = {name: block.to(device) for name, block in medium.items()}
        (tokens,) = self._model.visual_tokens([on_device])
        for branches in slots or (None,):
            self._visual.append(tokens if branches is None else self._model.part(on_device, tokens, branches))
            self._numbers.append(next(self._next))

    def take_back(self, shown: int) -> None:
        """Forget what fills all slots but the first so many."""
        del self._visual[shown:], self._numbers[shown:]

    @torch.inference_mode()
    def reply(
        self, messages: Sequence[Message], *, streamer: BaseStreamer | None = None, **generation: Any
    ) -> str:
        """What the model says next. The media fill the messages' slots (SLOT) in their order.

        `streamer` gets tokens as they are written, and `generation` goes to transformers' `generate`: 512 new
        tokens and no sampling where not given. Raises ConversationError where the last message is the
        model's own, or slots and media are not as many; TrainError where several members are to sample;
        ContextExceeded.
        """
        model = self._model
        if model.members > 1 and generation.get("do_sample"):
            raise TrainError(
                f"a model of {model.members} members (pipelines.NAME.members) writes the likeliest tokens"
                " alone: leave out do_sample"
            )
        parts = self._parts(messages)
        end = model.prompts.chat.end_of_turn
        options = {"max_new_tokens": 512, "do_sample": False, **generation}
        # Its own, not the decoder's, which may sample or penalise.
        settings = GenerationConfig(eos_token_id=end, pad_token_id=end, **options)
        asked, embeddings = self._row(parts, options["max_new_tokens"])
        self._keep(asked[:-1])
        together = model.members > 1
        with self._all_or_nothing():
            ids = model.decoder.generate(  # type: ignore[operator]
                inputs_embeds=embeddings,
                attention_mask=_everything(embeddings),
                past_key_values=self._cache,
                generation_config=settings,
                logits_processor=LogitsProcessorList([_Mean()] if together else []),
                streamer=_OfFirst(streamer) if together and streamer is not None else streamer,
            )
        written = ids[0].tolist()
        # A trained copy of the embeddings is the prompts': what is written takes the decoder's own.
        same = asked if model.embeddings is not None else [*asked, *written]
        self._read = same[: self._cache.get_seq_length()]
        return model.prompts.chat.text(written)

    @torch.inference_mode()
    def likelihoods(self, messages: Sequence[Message], answers: Sequence[str]) -> list[float]:
        """Of each text, were it what the model says next: the mean of its tokens' log-probabilities.

        The end of turn is not counted. Raises as `reply` does, and ConversationError for an empty answer.
        """
        parts, found = self._parts(messages), []
        for answer in answers:
            ids = self._model.prompts.chat.ids(answer)
            if not ids:
                raise ConversationError(f"the answer {answer!r} has no tokens")
            asked, embeddings = self._row([*parts, ids[:-1]], 1)
            self._keep(asked[: -len(ids)])
            with self._all_or_nothing():
                logits = self._model.decoder(
                    inputs_embeds=embeddings[:, len(self._read) :],
                    attention_mask=_everything(embeddings),
                    past_key_values=self._cache,
                    use_cache=True,
                    logits_to_keep=len(ids),
                ).logits  # [members, len(ids), vocabulary]
            self._read = asked
            log_p = mean_logits(logits.float()).log_softmax(dim=-1)
            own = torch.tensor(ids, device=log_p.device)[:, None]
            found.append(float(log_p.gather(1, own).mean()))
        return found

    def _parts(self, messages: Sequence[Message]) -> list[Part]:
        if not messages or messages[-1].role == "assistant":
            raise ConversationError("the last message is the model's own: end with a user's")
        slots = sum(message.text.count(SLOT) for message in messages)
        if slots != self.shown:
            raise ConversationError(f"{self.shown} media for {slots} slots in the messages")
        conversation = Conversation(tuple(range(slots)), tuple(messages))
        pieces = self._model.prompts.chat.pieces(conversation)
        return [self._visual[piece.medium] if isinstance(piece, Slot) else piece.ids for piece in pieces]

    def _row(self, parts: Sequence[Part], further: int) -> tuple[list[int], torch.Tensor]:
        """What stands in the row, as `_read` has it, and its embeddings [members, tokens, width]."""
        model = self._model
        context = Context(tuple(part for part in parts if len(part)), TokenTree())
        model.check_length(context.prefix + further)
        numbers = iter(self._numbers)
        read: list[int] = []
        for part in context.parts:
            alike = isinstance(part, torch.Tensor)
            read += [-1 - next(numbers)] * part.shape[-2] if alike else part  # type: ignore[union-attr]
        rows = [embed([own], model.table) for own in contexts_of_members([context], model.members)]
        return read, torch.cat(rows).to(model.decoder.dtype)

    def _keep(self, wanted: Sequence[int]) -> None:
        """Cut off the cache what does not agree with the beginning of the row."""
        pairs = enumerate(zip(self._read, wanted, strict=False))
        same = next((n for n, (a, b) in pairs if a != b), min(len(self._read), len(wanted)))
        self._read = self._read[:same]
        self._cache.crop(same - self._cache.get_seq_length())

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """What is interrupted may have left its tokens in some of the layers."""
        try:
            yield
        except BaseException:
            self._cache, self._read = DynamicCache(config=self._model.decoder.config), []
            raise


def _everything(embeddings: torch.Tensor) -> torch.Tensor:
    """The mask [rows, tokens] of rows without padding."""
    return torch.ones(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)


class _Mean(LogitsProcessor):
    """All rows, the members', write the likeliest token by the mean of their distributions."""

    def __call__(self, _ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        return mean_logits(scores[:, None]).expand_as(scores)  # type: ignore[return-value]


class _OfFirst(BaseStreamer):
    """Hands on the first row's tokens, which are every row's."""

    def __init__(self, streamer: BaseStreamer) -> None:
        self._streamer = streamer

    def put(self, value: torch.Tensor) -> None:
        self._streamer.put(value[:1])

    def end(self) -> None:
        self._streamer.end()
