"""VQA²'s pipelines as pipelines.toml has them: sizes, and, tiny, each going on from the one before."""

from pathlib import Path

import pytest
import torch
from tiny_language import WIDTH, quality_tasks, task_texts

from config.load import load_settings
from config.schema import RunSettings, Settings
from demo.decoder_tokenizer import build_tokenizer
from store.features import FeatureStore
from store.labels.files import Label
from train.answers.forms import values
from train.data.branches import token_shape
from train.data.samples import Split
from train.job import train_run
from train.model.build import build_model
from train.model.quality import QualityModel
from train.plan.model import planned_config, planned_model, prompts_tokenizer
from train.pretrained import from_pretrained

CHAIN = ("vqa2-stage1", "vqa2-scorer-ugc", "vqa2-scorer-streaming", "vqa2-assistant")


@pytest.fixture(scope="module")
def settings(root: Path) -> Settings:
    return load_settings(root / "pipelines.toml")


def test_each_continues_the_one_before_as_published(settings: Settings) -> None:
    pipelines = [settings.pipelines[name] for name in CHAIN]
    assert [pipeline.continues for pipeline in pipelines] == [None, *CHAIN[:-1]]
    for pipeline in pipelines:
        training = pipeline.training
        assert (training.epochs, training.schedule, training.warmup_share) == (1, "cosine", 0.03)
        assert [pipeline.rates(part)[0] for part in ("key_frames", "motion", "lora", "decoder")] == [
            1e-5,
            1e-5,
            1e-4,
            0,
        ]
        assert pipeline.decoder.lora is not None and pipeline.decoder.lora.rank == 64
        assert pipeline.decoder.weights == "Qwen/Qwen2-7B-Instruct"
        assert not pipeline.slots and pipeline.decoder.max_tokens is None
        motion = settings.encoders[pipeline.branches["motion"].encoder]
        assert motion.frames_multiple is None and motion.input_size is None and motion.mean is None


def test_the_whole_model_may_train_as_published(root: Path) -> None:
    own = "pipelines.vqa2-stage1"
    changes = [f"{own}.decoder.lora=false", f"{own}.training.groups={{ decoder = 1e-5, lora = 0 }}"]
    pipeline = load_settings(root / "pipelines.toml", changes).pipelines["vqa2-stage1"]
    assert pipeline.decoder.lora is None and pipeline.shards
    assert [pipeline.rates(part)[0] for part in ("key_frames", "motion", "decoder", "embeddings")] == [
        1e-5
    ] * 4


def full_size(settings: Settings, name: str) -> QualityModel:
    """The model, on no device."""
    pipeline = settings.pipelines[name]
    tasks = {task: settings.tasks[task] for task in pipeline.tasks}
    key, motion = (settings.encoders[pipeline.branches[own].encoder] for own in ("key_frames", "motion"))
    stored = {"motion": motion.shapes["motion"], "key_frames": (*(key.grid or (27, 27)), 1152)}
    shapes = {own: token_shape(stored[own], branch) for own, branch in pipeline.branches.items()}
    config = planned_config(pipeline.decoder)
    with torch.device("meta"):
        return planned_model(pipeline, tasks, shapes, config, prompts_tokenizer(tasks))


def test_at_full_size_projectors_tokens_and_adapters_have_their_numbers(settings: Settings) -> None:
    width = 3584
    model, eight_seconds = full_size(settings, "vqa2-scorer-ugc"), {"key_frames": 8, "motion": 240}
    assert model.tokens_of(eight_seconds) == 8 * 196 + 240
    mlp = width * width + width
    assert model.trainable_parameters() == {
        "key_frames": 1152 * width + width + mlp,
        "motion": 256 * width + width + mlp + 2000 * 256,
        "lora": 28 * 64 * (2 * (3584 + 3584) + 2 * (3584 + 512) + 3 * (3584 + 18944)),
    }
    assert sum(p.numel() for n, p in model.decoder.named_parameters() if "lora_" not in n) == 7_615_616_512
    released = full_size(settings, "vqa2-scorer-ugc-released")
    assert released.tokens_of(eight_seconds) == 8 * 196 + 1 + 240 and released.context == 10_000
    assistant = full_size(settings, "vqa2-assistant-released")
    assert assistant.tokens_of(eight_seconds) == 8 * 196 + 1 + 2 * 240
    own = model.trainable_parameters()["key_frames"] + width
    assert released.trainable_parameters()["key_frames"] == own  # the end token


def test_general_videos_have_64_spatial_tokens_and_one_temporal_token_a_frame(settings: Settings) -> None:
    align, instruct = (settings.pipelines[f"lmm-vqa-general-{stage}"] for stage in ("align", "instruct"))
    spatial = settings.encoders[align.branches["spatial"].encoder].grid
    slow = settings.encoders[align.branches["temporal"].encoder].shapes["slow"]
    assert spatial == (8, 8) and token_shape(slow, align.branches["temporal"]) == (1, 2048)
    assert align.token_order == instruct.token_order == "interleaved"
    assert instruct.continues == "lmm-vqa-general-align"
    assert align.trains("spatial") and not align.trains("decoder") and align.decoder.lora is None
    assert instruct.trains("lora") and instruct.trains("temporal")


@pytest.mark.parametrize(
    ("logits", "scorer", "app"),
    [([19.1545, 14.746, 12.386, 3.546, 8.8904], 0.9971160812221515, 0.9963951015276892),
     ([7.2598, 12.1774, 17.9446, 11.9469, 5.9049], 0.6001348423625389, 0.5001685529531736)],
)  # fmt: skip
def test_words_score_as_the_released_scorer_and_its_demo_do(
    settings: Settings, logits: list[float], scorer: float, app: float
) -> None:
    for task, expected in (("vqa2-level-released", scorer), ("vqa2-level", app)):
        form = settings.tasks[task].form
        assert list(form.words) == ["low", "poor", "fair", "good", "high"]  # type: ignore[union-attr]
        shares = torch.tensor(logits[::-1], dtype=torch.float64).softmax(dim=0)
        score = (shares * torch.tensor(values(form), dtype=torch.float64)).sum() / 100
        assert float(score) == pytest.approx(expected, abs=1e-12)


def tiny(root: Path, folder: Path, name: str, *overrides: str) -> RunSettings:
    """One of the pipelines around a tiny Qwen."""
    tokenizer = folder / "tokenizer"
    if not tokenizer.is_dir():
        build_tokenizer(task_texts(quality_tasks())).save_pretrained(tokenizer)
    own = f"pipelines.{name}"
    architecture = (
        f'{{ model_type = "qwen2", vocab_size = 512, hidden_size = {WIDTH}, intermediate_size = 64,'
        " num_hidden_layers = 2, num_attention_heads = 2, num_key_value_heads = 2, initializer_range = 0.2 }"
    )
    settings = load_settings(
        root / "pipelines.toml",
        [
            f"{own}.decoder.weights=random:0",
            f"{own}.decoder.tokenizer={tokenizer}",
            f"{own}.decoder.architecture={architecture}",
            f"{own}.decoder.lora.rank=2",
            f'{own}.tasks=["level"]',
            f"{own}.branches.key_frames.projector.hidden=[{WIDTH}]",
            f"{own}.branches.motion.projector.hidden=[{WIDTH}]",
            f"{own}.branches.motion.projector.positions=50",
            *(f"{own}.{each}" for each in overrides),
        ],
    )
    return settings.run(settings.pipelines[name], settings.datasets["demo"])


def stored(folder: Path) -> tuple[FeatureStore, Split]:
    """Videos of 2.5 s at 8 frames a second."""
    store, generator = FeatureStore(folder / "features"), torch.Generator().manual_seed(0)
    labels = [Label(f"v{number}", 8.0 * number) for number in range(12)]
    with (
        store.feature_set("demo", "siglip-so400m", {"chunk_seconds": "1"}).writer() as siglip,
        store.feature_set("demo", "slowfast-motion", {"frames": {"rule": "all"}}).writer() as slowfast,
    ):
        for label in labels:
            tokens = torch.randn(3, 4, 6, generator=generator).numpy()
            siglip.add(label.video, {"tokens": tokens}, {"fps": 8.0})
            frames = torch.randn(20, 5, generator=generator).numpy()
            slowfast.add(label.video, {"motion": frames}, {"fps": 8.0})
    return store, {"train": labels[:8], "val": labels[8:], "test": []}


@pytest.mark.parametrize("order", ["blocks", "interleaved"])
def test_the_stages_go_on_from_each_other_in_both_orders(root: Path, tmp_path: Path, order: str) -> None:
    store, split = stored(tmp_path)
    start, tables = None, []
    for name in CHAIN:
        settings = tiny(root, tmp_path, name, f"token_order={order}", "training.learning_rate=1e-3")
        trained = train_run(settings, store, {"demo": split}, tmp_path / name, quiet=True, start=start)
        assert set(trained.trainable) == {"key_frames", "motion", "lora"}
        start = tmp_path / name
        model = from_pretrained(start, device="cpu")
        assert (model.run.start.pipeline if model.run.start else None) == settings.pipeline.continues
        tables.append(model.model.projectors["motion"].positions.table.detach())  # type: ignore[union-attr]
    untouched = build_model(settings.pipeline, settings.tasks, model.run.shapes)
    begun = untouched.projectors["motion"].positions.table.detach()  # type: ignore[union-attr]
    moved = [float((table - begun).abs().max()) for table in tables]
    assert 0 < moved[0] < moved[-1]
    assert torch.equal(tables[-1][20:], begun[20:])  # no video is longer
