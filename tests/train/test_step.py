"""The packed step against the plain way: the same losses and gradients, whatever is shared or redone."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from random_models import SHAPES, Question, asked, model_of, videos
from tiny_language import small_model

from benchmarks.plain_step import plain_loss, plain_losses
from config.schema import LoraSettings, StepSettings
from train.answers.conversation import SLOT, Conversation, Message
from train.errors import TrainError
from train.model.decoder import add_lora
from train.model.quality import QualityModel
from train.model.recompute import Recompute, kept_bytes, layers_to_recompute

QUESTIONS = [
    Question(0, "score", 0, 63),
    Question(1, "score", 2, 5),
    Question(0, "level", 1, "fair"),
    Question(2, "level", 0, "poor"),
    Question(0, "score", 3, 100),
]


def losses_and_gradients(
    model: QualityModel, way: Callable[..., torch.Tensor], conversations: Sequence[Conversation]
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    losses = way(videos(3, 1, 4), conversations)
    losses.sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return losses.detach(), gradients


def assert_equals_plain_way(model: QualityModel, conversations: Sequence[Conversation] | None = None) -> None:
    conversations = conversations or asked(model, QUESTIONS)
    losses, gradients = losses_and_gradients(model, model, conversations)
    plain, expected = losses_and_gradients(model, lambda *batch: plain_losses(model, *batch), conversations)
    torch.testing.assert_close(losses, plain, atol=1e-5, rtol=1e-5)
    assert gradients.keys() == expected.keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    for name, gradient in gradients.items():
        assert gradient.abs().sum() > 0, name
        scale = expected[name].abs().max().clamp_min(1.0)
        torch.testing.assert_close(gradient / scale, expected[name] / scale, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("attention", ["segments", "dense"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_a_packed_row_has_the_losses_and_gradients_of_padded_rows(kind: str, attention: Any) -> None:
    assert_equals_plain_way(model_of(kind, StepSettings(attention=attention)))


def turns(*texts: str) -> tuple[Message, ...]:
    roles = ("user", "assistant")
    return tuple(Message(roles[number % 2], text) for number, text in enumerate(texts))  # type: ignore[arg-type]


SYSTEM = Message("system", "You see videos")
FOLLOWED = (
    "How good is it ?", "The quality level is fair", "What score does this video deserve ?",
    "The quality score is 50", "How good ?", "good",
)  # fmt: skip
CONVERSATIONS = {
    "no media": [Conversation((), (SYSTEM, *turns(*FOLLOWED[:2]))), Conversation((), turns(*FOLLOWED))],
    "one video, one to three turns": [
        Conversation((video,), (SYSTEM, *turns(f"{SLOT} {FOLLOWED[0]}", *FOLLOWED[1 : 2 * count])))
        for video in range(3)
        for count in (1, 2, 3)
    ],
    "two media": [
        Conversation((0, 2), (SYSTEM, *turns(f"{SLOT} this video {SLOT} {FOLLOWED[0]}", FOLLOWED[1]))),
        Conversation((2, 0), (SYSTEM, *turns(f"{SLOT} this video {SLOT} {FOLLOWED[0]}", *FOLLOWED[1:]))),
        Conversation((0, 2), (SYSTEM, *turns(f"{SLOT} this video {SLOT} {FOLLOWED[4]}", "poor"))),
    ],
    "the second in a later turn": [
        Conversation((1, 0), (SYSTEM, *turns(f"{SLOT} {FOLLOWED[0]}", "good", f"{SLOT} {asks}", says)))
        for asks, says in ((FOLLOWED[2], "50"), (FOLLOWED[4], "poor"))
    ],
    "four media, one twice": [
        Conversation(
            (0, 1, 2, 1),
            turns(f"{SLOT} {SLOT} {FOLLOWED[0]}", "fair", f"{SLOT} {FOLLOWED[2]} {SLOT}", *FOLLOWED[3:]),
        )
    ],
}  # fmt: skip


@pytest.mark.parametrize("attention", ["segments", "dense"])
@pytest.mark.parametrize("case", list(CONVERSATIONS))
def test_conversations_of_any_media_and_turns_equal_the_plain_way(case: str, attention: Any) -> None:
    model = model_of("llama", StepSettings(attention=attention))
    conversations = [*CONVERSATIONS[case], *asked(model, QUESTIONS[1:3])]
    assert_equals_plain_way(model, conversations)


def test_conversations_that_begin_alike_share_their_context() -> None:
    model = model_of()
    media = model.visual_tokens(videos(3, 1, 4))
    for case, contexts in {"one video, one to three turns": 3, "two media": 2, "no media": 1}.items():
        layout = model.pack(media, CONVERSATIONS[case]).layout
        assert len(layout.segments) == contexts, case
    (shared,) = model.pack(media, CONVERSATIONS["the second in a later turn"]).layout.segments
    assert shared.read


def test_a_head_that_scales_its_logits_is_the_models_own() -> None:
    model = model_of("cohere", logit_scale=0.3)
    assert_equals_plain_way(model)


@pytest.mark.parametrize("attention", ["segments", "dense"])
@pytest.mark.parametrize("recompute", ["none", "layers"])
def test_lora_gets_the_gradients_of_the_plain_way(recompute: Any, attention: Any) -> None:
    model = model_of("qwen2", StepSettings(attention=attention, recompute=recompute))
    add_lora(model.decoder, LoraSettings(rank=2, dropout=0.0))
    for name, parameter in model.decoder.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    assert_equals_plain_way(model)


@pytest.mark.parametrize("attention", ["segments", "dense"])
def test_recomputed_layers_give_the_same_numbers_and_keep_less(attention: Any) -> None:
    kept, results = {}, {}
    for recompute in ("none", "layers"):
        model = model_of("llama", StepSettings(attention=attention, recompute=recompute)).train()
        sizes: dict[int, int] = {}

        def keep(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            losses = model(videos(30, 40), asked(model, QUESTIONS[:3]))
        losses.sum().backward()
        kept[recompute] = sum(sizes.values())
        results[recompute] = [losses, *(p.grad for p in model.projectors.parameters())]
        assert not any(m.training for m in model.decoder.modules())
    for none, layers in zip(results["none"], results["layers"], strict=True):
        assert torch.equal(none, layers)
    assert kept["layers"] < 0.6 * kept["none"]


def kept_by(model: QualityModel) -> int:
    """Bytes that the whole model keeps for the backward pass, beside its weights."""
    storages: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses = model(videos(100), asked(model, QUESTIONS[:1]))
    total = sum(size for place, size in storages.items() if place not in weights)
    del losses
    return total


@pytest.mark.parametrize("adapted", [False, True])
def test_what_a_layer_keeps_is_measured_while_it_runs(adapted: bool) -> None:
    totals = []
    for layers in (2, 6):
        model = model_of("llama", StepSettings(attention="segments"), num_hidden_layers=layers)
        if adapted:
            add_lora(model.decoder, LoraSettings(rank=2, dropout=0.1))
        model.train()
        totals.append(kept_by(model))
    with kept_bytes(model.decoder.get_decoder().layers[2]) as kept:
        losses = model(videos(100), asked(model, QUESTIONS[:1]))
    del losses
    assert sum(kept.values()) == pytest.approx((totals[1] - totals[0]) / 4, rel=0.1)


def test_layers_of_8_bit_weights_are_never_recomputed() -> None:
    model = model_of("llama")
    model.decoder.is_loaded_in_8bit = True
    assert Recompute(model.decoder, "auto").count(torch.zeros(1, 10, 1)) == 0
    with pytest.raises(TrainError, match="8-bit weights cannot be recomputed"):
        Recompute(model.decoder, "layers")


def test_as_many_layers_are_recomputed_as_the_memory_demands() -> None:
    assert layers_to_recompute(1000, 31, layer=100, kept=10, budget=31 * 100_000) == 0
    assert layers_to_recompute(1000, 31, layer=100, kept=10, budget=29 * 100_000) == 4
    assert layers_to_recompute(1000, 31, layer=100, kept=10, budget=0) == 31
    model = model_of("llama")
    assert Recompute(model.decoder, "auto").count(torch.zeros(1, 10**7, 1)) == 0


def test_padding_to_a_common_length_is_the_only_difference_of_hugging_faces_loss() -> None:
    model = model_of("llama")
    sizes = [len(model.prompts.answer_ids(q.task, q.value)) + 1 for q in QUESTIONS]
    weights = torch.tensor(sizes) / sum(sizes)
    packed = model(videos(3, 1, 4), asked(model, QUESTIONS))
    assert plain_loss(model, videos(3, 1, 4), asked(model, QUESTIONS)).item() == pytest.approx(
        (packed * weights).sum().item(), abs=1e-5
    )


def test_a_video_is_not_changed_by_the_others_in_its_row() -> None:
    model = model_of("llama", StepSettings(attention="segments"))
    batch = videos(3, 1, 4)
    together = model(batch, asked(model, QUESTIONS))
    batch[1] = {name: block + 100 for name, block in batch[1].items()}
    changed = model(batch, asked(model, QUESTIONS))
    assert torch.equal(together[[0, 2, 3, 4]], changed[[0, 2, 3, 4]]) and together[1] != changed[1]


def test_questions_whose_prompts_differ_before_the_video_share_no_prefix() -> None:
    model = model_of("llama")
    template = (
        "{{ '<bos>' }}{% if 'score' in messages[-1]['content'] %}{{ '<|system|>' }}{% endif %}"
        "{{ messages[-1]['content'] }}{{ '<|assistant|>' }}"
    )
    model.prompts.chat.template = template
    packed = model.pack(model.visual_tokens(videos(3, 1, 4)), asked(model, QUESTIONS))
    assert len(packed.layout.segments) == 4
    assert_equals_plain_way(model)


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("mistral", {"sliding_window": 16}, "sliding window"),
        ("gemma2", {}, "sliding window"),
        ("bloom", {}, "attention functions"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "dynamic"),
    ],
)
def test_a_decoder_that_cannot_be_packed_is_refused(kind: str, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(TrainError, match=f"{reason}[\\s\\S]*such as Llama"):
        model_of(kind, **changes)


@pytest.mark.slow
def test_compiled_parts_give_the_same_losses_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced and split into forward and backward as ever; only the C++ compiler is left out, for its time."""
    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda module, **how: compile_module(module, backend="aot_eager", **how)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, while it traces
        model = model_of("llama", StepSettings(compile=True))
        assert sum(m._compiled_call_impl is not None for m in model.modules()) == 2 * 3
        assert_equals_plain_way(model)


def test_the_batch_of_the_small_model_is_dense_and_of_long_videos_in_segments() -> None:
    short, long_ = small_model(SHAPES), small_model({"spatial": (150, 7), "temporal": (2, 3)})
    assert_equals_plain_way(short)
    video = {"spatial": torch.randn(2, 150, 7), "temporal": torch.randn(2, 2, 3)}
    question = asked(long_, QUESTIONS[:1])
    torch.testing.assert_close(
        long_([video], question), plain_losses(long_, [video], question), atol=1e-5, rtol=1e-5
    )


def test_what_all_contexts_begin_with_stands_once_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, questions = model_of("qwen2"), QUESTIONS[:4]
    found = []
    for lead in (True, False):
        if not lead:
            monkeypatch.setattr("train.model.packed_decoder.common_lead", lambda _: ())
        model.zero_grad()
        losses = model(videos(3, 1, 4), asked(model, questions))
        losses.sum().backward()
        packed = model.pack(model.visual_tokens(videos(3, 1, 4)), asked(model, questions))
        found.append(
            (losses.detach(), [p.grad.clone() for p in model.projectors.parameters()], packed.layout)
        )
    (losses, gradients, layout), (expected, other_gradients, apart) = found
    torch.testing.assert_close(losses, expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(gradients, other_gradients, atol=1e-6, rtol=1e-5)
    before = len(model.prompts.prompt("score").before)
    assert layout.lead == before and apart.lead == 0
    assert apart.tokens - layout.tokens == before * (len(layout.segments) - 1) > 0
