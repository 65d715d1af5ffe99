"""A conversation whose media and earlier turns are read once, beside the same one read anew each turn."""

from collections.abc import Sequence

import pytest
import torch
from random_models import SHAPES, model_of, videos
from tiny_language import WIDTH
from transformers.generation.streamers import BaseStreamer

from config.schema import ProjectorSettings
from train.answers.conversation import SLOT, Message
from train.errors import ContextExceeded, ConversationError
from train.inference.chat import reply
from train.inference.talk import Talk
from train.model.members import gathered
from train.model.projectors import Projector
from train.model.quality import QualityModel, embedding_table

SYSTEM = Message("system", "You are an expert in video quality.")
QUESTIONS = (
    "How good is the quality of this video?",
    "What is the quality level?",
    "Please judge the score.",
)


class Reads:
    """How many tokens the decoder read in each pass, from its embeddings' lengths."""

    def __init__(self, model: QualityModel) -> None:
        self.lengths: list[int] = []
        body = model.decoder.get_decoder()
        body.layers[0].register_forward_pre_hook(lambda _m, inputs: self.lengths.append(inputs[0].shape[1]))


def projectors(seed: int) -> dict[str, torch.nn.Module]:
    torch.manual_seed(seed)
    settings = ProjectorSettings(kind="mlp")
    return {name: Projector(settings, *shape, WIDTH, 1.0).eval() for name, shape in SHAPES.items()}


def first(media: int) -> Message:
    return Message("user", f"{' '.join([SLOT] * media)} {QUESTIONS[0]}")


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("members", [1, 3])
def test_each_turn_is_what_a_conversation_without_cache_says(kind: str, members: int) -> None:
    model = model_of(kind, initializer_range=0.3)
    own = [projectors(seed) for seed in range(members)]
    model.projectors = torch.nn.ModuleDict({name: gathered([each[name] for each in own]) for name in SHAPES})
    assert model.members == members
    media = videos(20, 10)
    talk, messages = Talk(model, media), [SYSTEM, first(2)]
    reads = Reads(model)
    for question in (*QUESTIONS[1:], ""):
        reads.lengths.clear()
        said = talk.reply(messages, max_new_tokens=6)
        prefilled = reads.lengths[0]
        assert said == reply(model, media, messages, max_new_tokens=6)
        assert prefilled < 30 if len(messages) > 2 else prefilled > 30 * (5 + 2)
        messages += [Message("assistant", said or "good"), Message("user", question)]


def test_a_medium_may_come_later_and_turns_may_be_taken_back() -> None:
    model, (whole, part) = model_of(initializer_range=0.3), videos(8, 2)
    talk = Talk(model, [whole])
    opening = [SYSTEM, first(1)]
    said = talk.reply(opening, max_new_tokens=5)
    turns = [*opening, Message("assistant", said or "good"), Message("user", f"{SLOT} {QUESTIONS[1]}")]
    with pytest.raises(ConversationError, match="1 media for 2 slots"):
        talk.reply(turns)
    talk.show(part)
    assert talk.reply(turns, max_new_tokens=5) == reply(model, [whole, part], turns, max_new_tokens=5)
    other = [SYSTEM, Message("user", f"{SLOT} {SLOT} {QUESTIONS[2]}")]
    assert talk.reply(other, max_new_tokens=5) == reply(model, [whole, part], other, max_new_tokens=5)


def test_prompts_with_embeddings_of_their_own_are_read_as_prompts_again() -> None:
    model = model_of(initializer_range=0.3)
    table = embedding_table(model.decoder)
    model.embeddings = torch.nn.Embedding.from_pretrained(
        table.weight + 0.3 * torch.randn(table.weight.shape)
    )
    media, turns = videos(4), [SYSTEM, first(1)]
    talk = Talk(model, media)
    for question in QUESTIONS:
        said = talk.reply(turns, max_new_tokens=6)
        assert said == reply(model, media, turns, max_new_tokens=6)
        turns += [Message("assistant", said), Message("user", question)]


def by_definition(
    model: QualityModel, media: Sequence[torch.Tensor], turns: Sequence[str], text: str
) -> float:
    """The mean log-probability of a text's tokens, from one sequence without a cache."""
    chat = model.prompts.chat
    before, after = (
        chat.ids(part) for part in chat._render([("system", turns[0]), ("user", turns[1])]).split(SLOT)
    )
    ids = chat.ids(text)
    table = embedding_table(model.decoder)
    row = torch.cat([table(torch.tensor(before)), *media, table(torch.tensor([*after, *ids]))])
    log_p = model.decoder(inputs_embeds=row[None]).logits[0].log_softmax(dim=-1)  # type: ignore[operator]
    return float(torch.stack([log_p[n - len(ids) - 1, id] for n, id in enumerate(ids)]).mean())


@torch.no_grad()
def test_likelihoods_are_those_of_whole_sequences() -> None:
    model, media = model_of(initializer_range=0.3), videos(5)
    talk = Talk(model, media)
    answers = ["good", "The quality level is poor", "fair"]
    reads = Reads(model)
    found = talk.likelihoods([SYSTEM, first(1)], answers)
    assert reads.lengths[0] > 35 and max(reads.lengths[1:]) < 8
    visual = model.visual_tokens(media)
    turns = (SYSTEM.text, first(1).text)
    assert found == pytest.approx([by_definition(model, visual, turns, text) for text in answers], abs=1e-4)
    assert talk.reply([SYSTEM, first(1)], max_new_tokens=5) == reply(
        model, media, [SYSTEM, first(1)], max_new_tokens=5
    )
    with pytest.raises(ConversationError, match="has no tokens"):
        talk.likelihoods([SYSTEM, first(1)], [""])


class Stops(BaseStreamer):
    """Interrupts the second token."""

    def __init__(self) -> None:
        self._left = 3

    def put(self, _value: torch.Tensor) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt

    def end(self) -> None:
        raise AssertionError


def test_what_was_interrupted_is_read_anew() -> None:
    model, media, asked = model_of(initializer_range=0.3), videos(3), [SYSTEM, first(1)]
    talk = Talk(model, media)
    with pytest.raises(KeyboardInterrupt):
        talk.reply(asked, streamer=Stops())
    assert talk.reply(asked, max_new_tokens=6) == reply(model, media, asked, max_new_tokens=6)
    with pytest.raises(ContextExceeded):
        talk.reply(asked, max_new_tokens=100_000)
