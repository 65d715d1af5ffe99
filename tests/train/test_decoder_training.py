"""A decoder that trains whole: as plain torch trains it, on any number of processes, and saved to go on."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from random_models import Question, asked, model_of, videos
from safetensors.torch import load_file
from several_processes import finish, start, together
from training_set import (
    die_after_saving,
    logged,
    make_features,
    progress_of,
    run_settings,
    saving,
    train,
    weights,
)
from transformers import AutoModelForCausalLM, AutoTokenizer, get_scheduler

from train.data.batches import epoch_steps
from train.data.loading import QualityDataset
from train.data.questions import TaskQuestions
from train.data.reader import FeatureReader
from train.data.samples import dataset_samples
from train.errors import RunError
from train.job import fit_standardisation, train_run
from train.loop.processes import make_accelerator
from train.loop.sharding import process_group, shard
from train.loop.validation import correlations
from train.model.build import build_model
from train.model.decoder import load_decoder
from train.model.recompute import kept_bytes
from train.pretrained import from_pretrained
from train.saving.checkpoint import checkpoint_of, checkpoints

SETTINGS = (
    "pipelines.tiny.training.groups.decoder={ learning_rate = 1e-4, weight_decay = 0.1 }",
    "pipelines.tiny.training.learning_rate=2e-4",
    "pipelines.tiny.training.epochs=2",
    "pipelines.tiny.training.batch_size=7",
    "pipelines.tiny.training.tokens_per_batch=300",
)
STEPS = 6
TIED = "pipelines.tiny.decoder.architecture.tie_word_embeddings=true"
EMBEDDINGS = "pipelines.tiny.training.groups.embeddings={ learning_rate = 3e-4, weight_decay = 0 }"
LORA = "pipelines.tiny.decoder.lora={ rank = 2, dropout = 0.0 }"
FROZEN = (*SETTINGS[1:], LORA, "pipelines.tiny.training.shard_decoder=true")
BFLOAT16 = "pipelines.tiny.decoder.dtype=bfloat16"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one process's run in it."""
    folder = tmp_path_factory.mktemp("decoder")
    assert train(folder, "alone", *SETTINGS).outcome.steps == STEPS
    return folder


def decoder_of(run: Path) -> dict[str, torch.Tensor]:
    files = (checkpoints(run / "checkpoints")[-1] / "decoder").glob("*.safetensors")
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def assert_same_run(expected: Path, found: Path) -> None:
    steps, others = logged(expected, "loss"), logged(found, "loss")
    assert others.keys() == steps.keys() and len(steps) == STEPS
    assert [others[step] for step in steps] == pytest.approx(list(steps.values()), abs=1e-5)
    for read in (weights, decoder_of):
        tensors = read(expected)
        assert read(found).keys() == tensors.keys()
        for name, tensor in read(found).items():
            # Of 6e-4 that they move: Adam divides a gradient near 0, which rounds otherwise, by one near 0.
            torch.testing.assert_close(tensor, tensors[name], atol=3e-5, rtol=0)
    for one, other in zip(progress_of(expected), progress_of(found), strict=True):
        assert other == pytest.approx(one, abs=1e-3)


def test_what_a_layer_keeps_is_measured_where_it_is_divided_too(tmp_path: Path) -> None:
    pipeline, kept = run_settings(tmp_path, *SETTINGS).pipeline, []
    accelerator = make_accelerator(pipeline.training, tmp_path)
    with process_group(pipeline, accelerator):
        for divided in (False, True):
            model = model_of("llama")
            model.decoder.requires_grad_(True)
            if divided:
                shard(model.decoder, pipeline, accelerator)
            with kept_bytes(model.decoder.get_decoder().layers[1]) as found:
                model(videos(3), asked(model, [Question(0, "score", 0, 63)])).sum().backward()
            kept.append(sum(found.values()))
    assert kept[0] == kept[1] > 0


def dies_after(step: int, run: Callable[[], object]) -> Callable[[], None]:
    """What trains, and is gone once it has saved that step."""

    def dying() -> None:
        die_after_saving(step)
        run()

    return dying


@pytest.mark.parametrize("tied", [pytest.param(False, marks=pytest.mark.slow), True])
def test_it_takes_the_steps_of_plain_torch(tmp_path: Path, tied: bool) -> None:
    projectors = [
        f"pipelines.tiny.branches.{branch}.projector.{draw}=0"
        for branch in ("spatial", "temporal")
        for draw in ("noise", "dropout")
    ]
    settings = (*SETTINGS, *projectors, f"{TIED[:-4]}{str(tied).lower()}", EMBEDDINGS)
    one_pass = "pipelines.tiny.training.tokens_per_batch=100000"
    settings = (*settings, one_pass, "pipelines.tiny.training.groups.projectors=5e-5")
    train(tmp_path, "ours", *settings)

    resolved = run_settings(tmp_path, *settings)
    pipeline, (store, split) = resolved.pipeline, make_features(tmp_path)
    reader = FeatureReader(store, resolved.dataset, pipeline.branches)
    samples = dataset_samples(resolved, resolved.dataset, split, reader).parts["train"]
    data = QualityDataset(samples, {"demo": reader})
    model = build_model(pipeline, resolved.tasks, reader.shapes())
    fit_standardisation(model, data)
    questions = TaskQuestions(samples, model.prompts, pipeline.tasks, 0)
    table = model.decoder.get_input_embeddings().weight
    rest = [parameter for parameter in model.decoder.parameters() if parameter is not table]
    groups = [(model.projectors.parameters(), 5e-5, 0.1), (rest, 1e-4, 0.1), ([table], 3e-4, 0.0)]
    optimizer = torch.optim.AdamW(
        [{"params": list(part), "lr": rate, "weight_decay": decay} for part, rate, decay in groups]
    )
    schedule = get_scheduler("cosine", optimizer, round(STEPS * 0.03), STEPS)
    losses = []
    for epoch in range(2):
        for batch in epoch_steps(len(data), pipeline.training, epoch):
            media = [medium for video in batch for medium in data[video]]
            loss = model(media, questions(epoch, batch)).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    assert list(logged(tmp_path / "ours", "loss").values()) == pytest.approx(losses, abs=1e-5)
    saved, expected = decoder_of(tmp_path / "ours"), dict(model.decoder.named_parameters())
    assert saved.keys() == expected.keys()
    for name, tensor in saved.items():
        torch.testing.assert_close(tensor, expected[name].detach(), atol=1e-5, rtol=0)
    for name, tensor in model.projectors.state_dict().items():
        torch.testing.assert_close(
            weights(tmp_path / "ours")[f"projectors.{name}"], tensor, atol=1e-5, rtol=0
        )


@pytest.mark.soak
def test_three_processes_that_share_it_take_the_steps_of_one(place: Path) -> None:
    together(lambda: train(place, "of-3", *SETTINGS), 3)
    assert_same_run(place / "alone", place / "of-3")


@pytest.mark.slow
@pytest.mark.parametrize("tied", [pytest.param(False, marks=pytest.mark.soak), True])
def test_layers_compute_in_bfloat16_on_float32_weights(tmp_path: Path, tied: bool) -> None:
    settings = (*SETTINGS, BFLOAT16, *([TIED] if tied else []))
    train(tmp_path, "alone", *settings)
    together(lambda: train(tmp_path, "two", *settings))
    steps, others = logged(tmp_path / "alone", "loss"), logged(tmp_path / "two", "loss")
    assert list(others.values()) == pytest.approx(list(steps.values()), rel=2e-3)
    assert {tensor.dtype for tensor in decoder_of(tmp_path / "two").values()} == {torch.bfloat16}
    exact = train(tmp_path, "exact", *SETTINGS, *([TIED] if tied else []))
    assert exact.outcome.final_loss == pytest.approx(steps[STEPS], rel=2e-2)
    assert exact.outcome.final_loss != steps[STEPS]


@pytest.mark.slow
def test_a_killed_run_that_is_continued_ends_bit_for_bit_like_an_undisturbed_one(place: Path) -> None:
    often = (*SETTINGS, saving(4))
    undisturbed = train(place, "undisturbed", *often).outcome
    assert finish(start(dies_after(4, lambda: train(place, "killed", *often)), 1)) == [7]
    continued = train(place, "killed", *often).outcome
    assert (continued.resumed_from_step, continued.final_loss) == (4, undisturbed.final_loss)
    for read in (weights, decoder_of):
        tensors = read(place / "undisturbed")
        assert all(torch.equal(tensor, tensors[name]) for name, tensor in read(place / "killed").items())


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [pytest.param(1, 2, marks=pytest.mark.soak), (2, 1)])
def test_a_run_is_continued_by_another_number_of_processes(place: Path, before: int, after: int) -> None:
    name, often = f"{before}-{after}", (*SETTINGS, saving(4))
    assert finish(start(dies_after(4, lambda: train(place, name, *often)), before))[0] == 7
    together(lambda: train(place, name, *often), after)
    assert_same_run(place / "alone", place / name)


@pytest.mark.slow
def test_two_that_share_it_take_the_steps_of_one_which_alone_reads_it(place: Path) -> None:
    def watched() -> None:
        import train.job as job
        import train.loop.trainer as module

        build, put, rank = job.build_model, module.place, int(os.environ["RANK"])

        def built(*arguments: Any) -> Any:
            model = build(*arguments)
            assert all(parameter.is_meta == (rank > 0) for parameter in model.decoder.parameters())
            return model

        def placed(model: Any, *rest: Any) -> None:
            put(model, *rest)
            layers = model.decoder.get_decoder().layers
            shared = [p for name, p in layers.named_parameters() if "lora_" not in name]
            assert all(p.to_local().numel() == p.numel() / 2 for p in shared)
            assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))

        job.build_model, module.place = built, placed
        for name, more in (("held", SETTINGS), ("frozen", FROZEN)):
            train(place, name, *more)

    together(watched)
    assert_same_run(place / "alone", place / "held")
    train(place, "frozen-alone", *FROZEN[:-1])
    losses = logged(place / "frozen-alone", "loss")
    assert list(logged(place / "frozen", "loss").values()) == pytest.approx(list(losses.values()), abs=1e-5)


@pytest.mark.slow
def test_what_was_trained_is_a_model_that_transformers_reads(place: Path) -> None:
    folder = checkpoint_of(place / "alone") / "decoder"
    trained = from_pretrained(place / "alone")
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(tensor, trained.model.decoder.state_dict()[name])
    began = load_decoder(trained.settings.pipeline.decoder)
    assert not any(torch.equal(a, b) for a, b in zip(theirs.parameters(), began.parameters(), strict=True))
    assert AutoTokenizer.from_pretrained(folder).chat_template
    store, split = make_features(place)
    reader = FeatureReader(store, trained.settings.dataset, trained.settings.pipeline.branches)
    found = trained.predict([reader.read(label.video) for label in split["val"]])
    last = progress_of(place / "alone")[-1]
    assert correlations(
        [label.mos for label in split["val"]], [prediction.score for prediction in found]
    ) == pytest.approx({"srcc": last["srcc"], "plcc": last["plcc"]}, abs=1e-4)
    with pytest.raises(RunError, match="holds its own decoder"):
        from_pretrained(place / "alone", decoder=str(folder))


@pytest.mark.slow
def test_files_of_the_decoder_are_of_a_bounded_size_and_have_an_index(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import train.saving.decoder as module

    split = module.split_torch_state_dict_into_shards
    monkeypatch.setattr(
        module, "split_torch_state_dict_into_shards", lambda *a, **k: split(*a, **k, max_shard_size="50KB")
    )
    train(place, "parts", *SETTINGS)
    folder = checkpoint_of(place / "parts") / "decoder"
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 2
    assert_same_run(place / "alone", place / "parts")
    AutoModelForCausalLM.from_pretrained(folder)
    (first, *_) = sorted(folder.glob("*.safetensors"))
    first.write_bytes(first.read_bytes()[:-1] + b"?")
    with pytest.raises(RunError, match=r"decoder/model-00001-of.*not what was written"):
        from_pretrained(place / "parts")


@pytest.mark.slow
def test_a_run_begins_with_the_decoder_that_another_trained(place: Path) -> None:
    still = ("pipelines.tiny.training.epochs=1", "pipelines.tiny.training.learning_rate=1e-30")
    store, split = make_features(place)

    def begin(run: str, *overrides: str) -> dict[str, torch.Tensor]:
        settings = run_settings(place, *SETTINGS[1:], *still, *overrides)
        train_run(settings, store, {"demo": split}, place / run, quiet=True, start=place / "alone")
        return from_pretrained(place / run).model.decoder.state_dict()

    origin, folder = decoder_of(place / "alone"), checkpoint_of(place / "alone") / "decoder"
    found = begin("second", "pipelines.tiny.training.groups.decoder=1e-30")
    assert all(torch.equal(tensor, found[name]) for name, tensor in origin.items())
    found = begin("third", f"pipelines.tiny.decoder.weights={folder}")
    assert all(torch.equal(tensor, found[name]) for name, tensor in origin.items())
    with pytest.raises(RunError, match=r"another decoder than 'random:0'"):
        begin("fourth")


@pytest.mark.slow
def test_a_damaged_state_is_refused_in_words(place: Path) -> None:
    often = (*SETTINGS, saving(2))
    assert finish(start(dies_after(2, lambda: train(place, "damaged", *often)), 1)) == [7]
    (last,) = (place / "damaged" / "checkpoints").glob("step-00000002*")
    (share,) = (last / "training" / "state").glob("*.distcp")
    share.write_bytes(share.read_bytes()[:100])
    with pytest.raises(RunError, match=rf"training/state cannot be read: .*; remove .*{last.name}"):
        train(place, "damaged", *often)
