"""Decoders of every kind that pipelines.toml names, small and with random weights: build, train, generate."""

from pathlib import Path
from typing import Any

import pytest
import torch
from random_models import Question, asked
from tiny_language import quality_tasks, task_texts
from transformers import PreTrainedTokenizerFast

from config.load import SettingsError, load_settings
from config.schema import DecoderSettings, LoraSettings, PipelineSettings
from demo.decoder_tokenizer import build_tokenizer
from train.answers.prompts import PromptBuilder
from train.errors import DecoderMissingError, TrainError
from train.inference.predict import predict
from train.model.build import build_model
from train.model.decoder import add_lora, check_vocabulary, load_decoder, load_tokenizer
from train.model.quality import QualityModel
from train.saving.identity import decoder_identity, tokenizer_digest, weights_digest

SHAPES = {"spatial": (1, 6), "temporal": (1, 3)}
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.2,
}
PARAMETERS = {
    "llama-3-8b-instruct": 8_030_261_248,
    "llama-2-7b-chat": 6_738_415_616,
    "qwen-2-7b-instruct": 7_615_616_512,
    "qwen-2_5-7b-instruct": 7_615_616_512,
    "qwen-3-8b": 8_190_735_360,
}
# The essence of real templates: one refuses a system role, one drops it, one opens with room to think.
WITHOUT_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "<|user|>{{ m.content }}<eos>{% endfor %}<|assistant|>"
)
DROPS_SYSTEM = (
    "{% for m in messages if m.role == 'user' %}<|user|>{{ m.content }}<eos>{% endfor %}<|assistant|>"
)
THINKS = (
    "{% for m in messages %}{{ m.content }}<eos>{% endfor %}<|assistant|>"
    "{% if enable_thinking is not defined or enable_thinking %}think{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(task_texts(quality_tasks()))


@pytest.fixture(scope="module")
def pipeline(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> PipelineSettings:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    tiny = load_settings(Path(__file__).parents[2] / "pipelines.toml").pipelines["tiny"]
    return tiny.model_copy(update={"decoder": decoder(folder, model_type="llama")})


def decoder(folder: Path, **architecture: object) -> DecoderSettings:
    architecture = {**SMALL, "vocab_size": 512, **architecture}
    return DecoderSettings(
        weights="random:0", tokenizer=str(folder), dtype="float32", architecture=architecture
    )


def changed(pipeline: PipelineSettings, **changes: Any) -> PipelineSettings:
    return pipeline.model_copy(update={"decoder": pipeline.decoder.model_copy(update=changes)})


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_every_kind_of_decoder_trains_the_projectors_and_answers(
    pipeline: PipelineSettings, kind: str
) -> None:
    architecture = {**pipeline.decoder.architecture, "model_type": kind}
    model = build_model(changed(pipeline, architecture=architecture), quality_tasks(), SHAPES)
    assert isinstance(model, QualityModel) and model.decoder.config.model_type == kind
    video = {name: torch.randn(2, *shape) for name, shape in SHAPES.items()}
    model.train()
    model(
        [video], asked(model, [Question(0, "score", 0, 63), Question(0, "level", 1, "fair")])
    ).mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.projectors.parameters())
    assert all(p.grad is None for p in model.decoder.parameters())
    (prediction,) = predict(model.eval(), [video])
    assert 0 <= prediction.score <= 100 and prediction.std and isinstance(prediction.text, str)


@pytest.mark.parametrize(("dropped", "tokens"), [("temporal", 4), ("spatial", 4), (None, 8)])
def test_a_pipeline_may_have_one_branch_alone(
    root: Path, pipeline: PipelineSettings, dropped: str | None, tokens: int
) -> None:
    chosen = [f"pipelines.tiny.branches.{dropped}=false"] if dropped else []
    tiny = load_settings(root / "pipelines.toml", chosen).pipelines["tiny"]
    model = build_model(tiny.model_copy(update={"decoder": pipeline.decoder}), quality_tasks(), SHAPES)
    assert set(model.projectors) == set(SHAPES) - {dropped}
    video = {name: torch.randn(1, *shape) for name, shape in SHAPES.items()}
    assert len(model.visual_tokens([video])[0]) == tokens
    model([video], asked(model, [Question(0, "score", 0, 63)])).mean().backward()
    assert all(p.grad is not None for p in model.projectors.parameters())


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_the_named_decoders_have_their_real_architectures(root: Path, name: str) -> None:
    settings = load_settings(root / "pipelines.toml", [f"decoders.{name}.weights=random:0"]).decoders[name]
    with torch.device("meta"):
        model = load_decoder(settings)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_a_pipeline_takes_a_decoder_by_name_and_changes_it(root: Path) -> None:
    chosen = ["pipelines.lmm-vqa.decoder.lora.rank=8", "pipelines.lmm-vqa.decoder=qwen-3-8b"]
    settings = load_settings(root / "pipelines.toml", [*chosen, "decoders.qwen-3-8b.weights=random:1"])
    found = settings.pipelines["lmm-vqa"].decoder
    assert found.weights == "random:1" and found.architecture["model_type"] == "qwen3"
    assert found.lora is not None and found.lora.rank == 8
    other = settings.pipelines["lmm-vqa-multitask"].decoder
    assert other.architecture["model_type"] == "llama" and other.lora is None
    with pytest.raises(SettingsError, match=r"'qwen-3'.*did you mean 'qwen-3-8b'"):
        load_settings(root / "pipelines.toml", ["pipelines.lmm-vqa.decoder=qwen-3"])


@pytest.mark.parametrize("template", [WITHOUT_SYSTEM, DROPS_SYSTEM])
def test_without_a_system_role_the_system_prompt_opens_the_users_turn(
    tokenizer: PreTrainedTokenizerFast, template: str
) -> None:
    prompts = quality_tasks()
    plain = PromptBuilder(tokenizer, prompts)
    builder = PromptBuilder(build_tokenizer(task_texts(prompts)), prompts)
    builder.chat.template = template
    system = tokenizer.convert_tokens_to_ids("<|system|>")
    assert system in plain.prompt("score").before
    prompt = builder.prompt("score")
    assert system not in prompt.before
    assert prompt.before == builder.chat.ids(f"<|user|>{prompts['score'].system}\n\n")


def test_a_template_that_thinks_first_is_asked_not_to(tokenizer: PreTrainedTokenizerFast) -> None:
    builder = PromptBuilder(tokenizer, quality_tasks())
    builder.chat.template = THINKS
    assert builder.prompt("score").after[-1] == tokenizer.convert_tokens_to_ids("<|assistant|>")


def test_a_tokenizer_without_an_end_of_turn_is_refused() -> None:
    endless = build_tokenizer(task_texts(quality_tasks()))
    endless.eos_token = None
    with pytest.raises(TrainError, match="names no token that ends a turn"):
        _ = PromptBuilder(endless, quality_tasks()).chat.end_of_turn


def test_a_vocabulary_smaller_than_the_tokenizers_is_refused(pipeline: PipelineSettings) -> None:
    small = {**pipeline.decoder.architecture, "vocab_size": 100}
    with pytest.raises(TrainError, match=r"has \d+ tokens, but the decoder embeds only 100"):
        build_model(changed(pipeline, architecture=small), quality_tasks(), SHAPES)
    check_vocabulary(load_decoder(pipeline.decoder), load_tokenizer(pipeline.decoder))


def test_a_pickle_is_never_loaded(pipeline: PipelineSettings, tmp_path: Path) -> None:
    model = load_decoder(pipeline.decoder)
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    settings = pipeline.decoder.model_copy(update={"weights": str(tmp_path), "source": "the moon"})
    with pytest.raises(DecoderMissingError, match=r"could not be loaded[\s\S]*where to get it: the moon"):
        load_decoder(settings)
    with pytest.raises(DecoderMissingError, match="no weights as"):
        decoder_identity(settings)


def test_lora_targets_that_the_decoder_lacks_are_named(pipeline: PipelineSettings) -> None:
    with pytest.raises(TrainError, match=r"LoRA cannot adapt \['qkv'\] of LlamaForCausalLM"):
        add_lora(load_decoder(pipeline.decoder), LoraSettings(targets=("qkv",)))


def test_weights_in_a_folder_are_those_that_were_saved(pipeline: PipelineSettings, tmp_path: Path) -> None:
    model = load_decoder(pipeline.decoder)
    model.save_pretrained(tmp_path)
    for device in (None, "cpu"):
        loaded = load_decoder(pipeline.decoder.model_copy(update={"weights": str(tmp_path)}), device)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))
        assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_the_identity_changes_with_weights_architecture_and_tokenizer_alone(
    pipeline: PipelineSettings, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    known = decoder_identity(pipeline.decoder)
    assert known == decoder_identity(pipeline.decoder.model_copy(update={"source": "x", "dtype": "float16"}))
    assert known["architecture"]["hidden_size"] == 32 and known["weights"] == "random:0"
    theta = {**pipeline.decoder.architecture, "rope_theta": 5.0}
    assert decoder_identity(changed(pipeline, architecture=theta).decoder) != known
    other = build_tokenizer([*task_texts(quality_tasks()), "unheard"])
    assert tokenizer_digest(other) != tokenizer_digest(tokenizer) == known["tokenizer"]
    for name, size in (("small", 1000), ("large", 70 << 20)):
        file = tmp_path / name / "model.safetensors"
        file.parent.mkdir()
        file.write_bytes(bytes(size))
        digest = weights_digest(file.parent)
        with file.open("r+b") as raw:
            raw.seek(size - 5)
            raw.write(b"1")
        assert weights_digest(file.parent) != digest
