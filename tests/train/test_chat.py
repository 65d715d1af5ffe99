"""Free conversation: several media and turns, streamed, as the decoder's own greedy decoding writes it."""

import pytest
import torch
from random_models import SHAPES, model_of, videos
from tiny_language import WIDTH, quality_tasks
from transformers import TextStreamer

from config.schema import ProjectorSettings, RegressionSettings
from train.answers.conversation import SLOT, Message
from train.errors import ContextExceeded, ConversationError, TrainError
from train.inference.chat import reply
from train.inference.reading import answer
from train.model.projectors import Projector
from train.model.quality import QualityModel, embedding_table
from train.model.regression import RegressionModel

SYSTEM = Message("system", "You are an expert in video quality.")


def test_the_answer_to_a_task_is_what_the_model_replies_to_its_question() -> None:
    model, (video,) = model_of(initializer_range=0.3), videos(3)
    (visual,) = model.visual_tokens([video])
    expected = answer(model, visual, ["level"])["level"].text
    messages = model.prompts.conversation("level").messages
    limit = model.prompts.answer_tokens("level") + 16
    assert reply(model, [video], messages, max_new_tokens=limit) == expected


def test_several_media_and_turns_are_read_in_their_order_and_streamed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, media = model_of(initializer_range=0.3), videos(2, 1, 3)
    turns = (
        Message("user", f"{SLOT} {SLOT} How good is the quality of this video?"),
        Message("assistant", "good"),
        Message("user", f"{SLOT} What is the quality level?"),
    )
    chat = model.prompts.chat
    streamer = TextStreamer(chat.tokenizer, skip_special_tokens=True)
    said = reply(model, media, (SYSTEM, *turns), max_new_tokens=8, streamer=streamer)
    assert said and said.split() == capsys.readouterr().out.split()
    table, visual = embedding_table(model.decoder), model.visual_tokens(media)
    rest = iter(visual)
    parts = list[torch.Tensor]()
    for text in chat._render([(m.role, m.text) for m in (SYSTEM, *turns)]).split(SLOT):
        parts += [
            table(torch.tensor(chat.ids(text), dtype=torch.long)),
            *([next(rest)] if len(parts) < 6 else []),
        ]
    ids = model.decoder.generate(  # type: ignore[operator]
        inputs_embeds=torch.cat(parts)[None], max_new_tokens=8, do_sample=False, pad_token_id=chat.end_of_turn
    )
    assert chat.text(ids[0].tolist()).startswith(said)
    assert reply(model, media, (SYSTEM, *turns), max_new_tokens=8) == said


def test_what_cannot_be_answered_is_said() -> None:
    model, media = model_of(), videos(2)
    ask = Message("user", f"{SLOT} How good is it?")
    with pytest.raises(ConversationError, match="1 media for 2 slots"):
        reply(model, media, [ask, Message("assistant", "good"), ask])
    with pytest.raises(ConversationError, match="the last message is the model's own"):
        reply(model, media, [ask, Message("assistant", "good")])
    with pytest.raises(ContextExceeded, match="100,0"):
        reply(model, media, [ask], max_new_tokens=100_000)
    projectors = {n: Projector(ProjectorSettings(kind="mlp"), *s, WIDTH, 1.0) for n, s in SHAPES.items()}
    regression = RegressionModel(projectors, RegressionSettings(width=WIDTH), quality_tasks())
    with pytest.raises(TrainError, match="no language model"):
        reply(regression, media, [ask])
    released = QualityModel(model.decoder, model.prompts, projectors, attention="mmca")
    with pytest.raises(TrainError, match="attention = mmca answers tasks"):
        reply(released, media, [ask])
