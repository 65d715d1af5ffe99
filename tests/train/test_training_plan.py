"""What `python -m train PIPELINE --dry-run` says, beside what a run does."""

import json
import math
from pathlib import Path

import pytest
from small_videos import encode
from training_set import ROOT, make_features, run_settings, train
from typer.testing import CliRunner

from config.load import load_settings
from config.schema import DecoderSettings
from extract.encoders.registry import build_encoder
from store.features import FeatureStore
from store.labels.dataset import labelled_split
from train.__main__ import app
from train.answers.prompts import PromptBuilder
from train.errors import DecoderMissingError, TrainError
from train.job import dataset_part, run_samples
from train.loop.trainer import sequence_tokens
from train.model.build import build_model
from train.model.decoder import load_decoder
from train.plan.cost import MFU, cards
from train.plan.model import planned_config, planned_tokenizer
from train.plan.plan import make_plan
from train.plan.report import TrainingPlan

TINY = "pipelines.tiny"
MEASURED_VIDEOS_PER_SECOND, MEASURED_BYTES = 3.51, 91.0e9
"""On an H200, Llama-3-8B, 4,096 visual tokens, two questions, four videos a pass: benchmarks/RESULTS.md."""


def plan_of_real_labels(
    shared_data: Path, pipeline: str, *overrides: str, card: str | None = None, processes: int = 1
) -> TrainingPlan:
    """On LSVQ's 3,573 videos of 1080 lines, of which there is nothing but the labels."""
    labels = f"datasets.LSVQ.labels={shared_data}/labels/LSVQ/labels_1080p.txt"
    settings = load_settings(ROOT / "pipelines.toml", [labels, *overrides])
    dataset = settings.datasets["LSVQ"]
    return make_plan(
        settings.run(settings.pipelines[pipeline], dataset),
        FeatureStore(shared_data / "none"),
        {"LSVQ": labelled_split(dataset)},
        card_name=card,
        processes=processes,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [(), (f"{TINY}.decoder.lora={{ rank = 4 }}", f"{TINY}.training.groups={{ embeddings = 1e-3 }}")],
)
def test_a_plan_counts_what_the_run_then_has(tmp_path: Path, changes: tuple[str, ...]) -> None:
    store, split = make_features(tmp_path)
    changes = (*changes, f"{TINY}.training.tokens_per_batch=400")
    settings = run_settings(tmp_path, *changes)
    plan = make_plan(settings, store, {"demo": split})
    assert plan.lengths == "from the feature store" and not plan.tokens.text_estimated

    samples = run_samples(settings, store, {"demo": split})
    model = build_model(settings.pipeline, settings.tasks, samples["demo"].reader.shapes())
    tokens = sequence_tokens(dataset_part(samples, "train"), model, settings.pipeline.tasks)
    assert plan.tokens.visual_mean == pytest.approx(sum(tokens) / len(tokens) - plan.tokens.text)
    assert plan.steps.passes > 1 and max(tokens) <= plan.memory.tokens <= 400
    assert plan.frozen == sum(p.numel() for p in model.parameters() if not p.requires_grad)

    trained = train(tmp_path, "run", *changes)
    assert plan.trained == trained.trainable
    assert plan.videos == trained.videos and plan.steps.all == trained.outcome.steps
    stored = store.find("demo", "nss")
    assert sum(plan.feature_bytes.values()) == stored.size_bytes


@pytest.mark.slow
def test_labels_alone_are_enough_for_the_released_pipelines(shared_data: Path) -> None:
    plan = plan_of_real_labels(shared_data, "lmm-vqa")
    assert sum(plan.videos["LSVQ"].values()) == 3_573 and plan.missing == {"LSVQ": 0}
    assert plan.trained == {"spatial": 16_794_624, "temporal": 8_392_704} and plan.frozen == 8_030_261_248
    assert plan.tokens.visual_mean == 4096 and plan.tokens.context == 8192 and not plan.tokens.too_long
    tokens, maps = plan.feature_bytes.values()
    assert tokens == 3_573 * 8 * 256 * 1024 * 2 and maps == 3_573 * 8 * 8 * 49 * 2048 * 2
    assert plan.memory.frozen == 2 * plan.frozen and plan.memory.trained == 16 * sum(plan.trained.values())

    released = plan_of_real_labels(shared_data, "lmm-vqa-released")
    assert released.tokens.visual_mean == 258
    assert released.trained["embeddings"] == 128_256 * 4096


@pytest.mark.slow
def test_text_is_estimated_near_what_the_real_tokenizer_gives(shared_data: Path) -> None:
    file = load_settings(ROOT / "pipelines.toml")
    tasks = file.run(file.pipelines["lmm-vqa-multitask"], file.datasets["LSVQ"]).tasks
    settings = DecoderSettings(weights="random:0", tokenizer=str(shared_data / "tokenizers" / "llama3"))
    absent = DecoderSettings(weights="random:0")
    (real, exact), (estimating, estimated) = (planned_tokenizer(s, tasks) for s in (settings, absent))
    assert exact and not estimated
    text, about = (PromptBuilder(t, tasks).text_tokens(list(tasks)) for t in (real, estimating))
    assert about == pytest.approx(text, rel=0.1)


@pytest.mark.slow
def test_speed_and_memory_are_near_what_a_gpu_showed(shared_data: Path) -> None:
    plan = plan_of_real_labels(
        shared_data,
        "lmm-vqa-multitask",
        "pipelines.lmm-vqa-multitask.training.tokens_per_batch=16800",
        card="H200",
    )
    assert plan.memory.recomputed_layers == 0 and plan.hours is not None
    assert plan.memory.total == pytest.approx(MEASURED_BYTES, rel=0.02)
    videos_per_second = cards()["H200"].tflops * 1e12 * MFU / plan.operations.video
    assert videos_per_second == pytest.approx(MEASURED_VIDEOS_PER_SECOND, rel=0.02)
    seen = plan.videos["LSVQ"]["train"] * 3
    assert plan.hours == pytest.approx(seen / videos_per_second / 3600)


@pytest.mark.slow
def test_a_smaller_card_recomputes_layers_and_takes_longer(shared_data: Path) -> None:
    quantised = "pipelines.lmm-vqa.decoder.quantised=4bit"
    large = plan_of_real_labels(shared_data, "lmm-vqa", quantised, card="H100")
    small = plan_of_real_labels(shared_data, "lmm-vqa", quantised, card="RTX-4090")
    assert large.memory.recomputed_layers == 0 < small.memory.recomputed_layers
    assert small.memory.total < 24e9 and large.hours is not None and small.hours is not None
    assert small.hours > large.hours * 989.5 / 165.2
    whole = "pipelines.lmm-vqa.decoder.dtype=float32"
    plain = plan_of_real_labels(shared_data, "lmm-vqa", whole, card="RTX-4090")
    assert "does not fit 24 GB" in plain.lines()[-1]


@pytest.mark.slow
def test_videos_beyond_the_decoders_context_are_named(shared_data: Path) -> None:
    plan = plan_of_real_labels(shared_data, "lmm-vqa", "datasets.LSVQ.minimum_chunks=20")
    assert len(plan.tokens.too_long) == 3_573
    assert any("3,573 videos do not fit, such as LSVQ/" in line for line in plan.lines())


@pytest.mark.slow
def test_processes_share_passes_and_a_sharded_decoder(shared_data: Path) -> None:
    sharded = "pipelines.lmm-vqa.training.shard_decoder=true"
    one, four = (plan_of_real_labels(shared_data, "lmm-vqa", sharded, processes=number) for number in (1, 4))
    assert four.steps.all == one.steps.all and one.steps.passes > 2.9 * four.steps.passes
    assert one.memory.frozen / 4 < four.memory.frozen < one.memory.frozen / 2


def test_quantised_weights_are_counted_as_bitsandbytes_holds_them(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    wide = (
        f"{TINY}.decoder.architecture.hidden_size=512",
        f"{TINY}.decoder.architecture.intermediate_size=2048",
    )
    settings = run_settings(tmp_path, *wide, f"{TINY}.decoder.quantised=4bit")
    held = load_decoder(settings.pipeline.decoder)
    size = 0.0
    for parameter in held.parameters():
        size += parameter.nbytes
        if state := getattr(parameter, "quant_state", None):
            size += state.absmax.nbytes + state.state2.absmax.nbytes
    assert make_plan(settings, store, {"demo": split}).memory.frozen == pytest.approx(size, rel=0.01)


def test_lengths_come_from_the_files_where_nothing_is_extracted(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(10):
        encode(videos / f"v{number}.mp4", frames=40 + 30 * (number % 3), rate=30)  # 1, 2 or 3 whole seconds
    (videos / "v9.mp4").write_bytes(b"broken")
    rows = [f"v{number},{8 * number},{'train' if number < 8 else 'test'}" for number in range(12)]
    (tmp_path / "labels.csv").write_text("\n".join(["video,mos,split", *rows]))
    options = [
        *("datasets.demo.videos=" + str(videos), f"datasets.demo.labels={tmp_path / 'labels.csv'}"),
        *(
            "datasets.demo.group=(.+)",
            "datasets.demo.validation_share=0.0",
            f"store.path={tmp_path / 'none'}",
        ),
        f"{TINY}.branches.spatial.over_time=keep",
    ]
    command = ["tiny", "--dry-run", "--json", "--run", str(tmp_path / "run")]
    for option in options:
        command += ["--set", option]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    plan = json.loads(done.stdout)
    assert plan["lengths"] == "as the headers of 9 of 10 videos of demo declare"
    assert plan["videos"] == {"demo": {"train": 8, "val": 0, "test": 2}} and plan["missing"] == {"demo": 2}
    assert 4 * 1 + 4 <= plan["tokens"]["visual_mean"] <= 4 * 3 + 4
    assert plan["frozen"] > 0 and not (tmp_path / "run").exists()

    planned = json.loads(CliRunner().invoke(app, [*command, "--seconds", "5"], catch_exceptions=False).stdout)
    assert planned["tokens"]["visual_mean"] == 4 * 5 + 4 and planned["missing"] == {"demo": 0}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip-vit-l14", "siglip-so400m", "slowfast-r50", "videomae-base", "nss"])
def test_shapes_in_the_settings_are_those_that_the_encoders_give(name: str) -> None:
    settings = load_settings(ROOT / "pipelines.toml").encoders[name]
    transformer = settings.kind in ("clip", "siglip", "videomae")
    small = {"architecture": {"num_hidden_layers": 1}, "layer": -1} if transformer else {}
    kept = {"weights": "random:0", "grid": None, "streams": tuple({*settings.shapes} - {"motion"})}
    given = build_encoder(settings.model_copy(update={**kept, **small})).streams
    if settings.kind == "slowfast":
        motion = {"weights": "random:0", "streams": ("motion",), "tail": "keep"}
        given = {**given, **build_encoder(settings.model_copy(update=motion)).streams}
    assert settings.shapes.keys() == given.keys()
    for stream, shape in settings.shapes.items():
        assert shape[-1] == given[stream].shape[-1] and math.prod(shape) == math.prod(given[stream].shape)


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    with pytest.raises(TrainError, match=r"no card 'H10'; did you mean 'H100'\?; known are B200"):
        make_plan(run_settings(tmp_path), store, {"demo": split}, card_name="H10")
    shapeless = run_settings(tmp_path, "encoders.nss.shapes={ spatial = [1, 6] }")
    with pytest.raises(TrainError, match=r"(?s)encoders.nss.shapes does not say.*'temporal'.*it has spatial"):
        make_plan(shapeless, FeatureStore(tmp_path / "none"), {"demo": split})
    nowhere = DecoderSettings(weights=f"{tmp_path}/none", source="`make decoder` trains it")
    with pytest.raises(
        DecoderMissingError, match=r"(?s)of '.*/none' is not known.*trains it.*`architecture`"
    ):
        planned_config(nowhere)
