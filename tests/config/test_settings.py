from pathlib import Path

import pytest
from pydantic import ValidationError

from config.load import SettingsError, load_settings, lookup
from config.schema import WordsForm


@pytest.fixture
def file(root: Path) -> Path:
    return root / "pipelines.toml"


def test_the_papers_pipeline_and_the_five_datasets_are_there(file: Path) -> None:
    settings = load_settings(file)
    pipeline = settings.pipelines["lmm-vqa"]
    assert pipeline.encoders == ["clip-vit-l14", "slowfast-r50"]
    assert pipeline.decoder.weights == "meta-llama/Meta-Llama-3-8B-Instruct"
    assert {"LSVQ", "KoNViD-1k", "LIVE-VQC", "YouTube-UGC", "LIVE-YT-Gaming"} <= settings.datasets.keys()


def test_extends_inherits_all_but_what_it_changes(file: Path) -> None:
    settings = load_settings(file)
    base, multitask = settings.pipelines["lmm-vqa"], settings.pipelines["lmm-vqa-multitask"]
    assert multitask.tasks == ("score", "level")
    assert multitask.model_copy(update={"name": base.name, "tasks": base.tasks}) == base


def test_settings_are_frozen(file: Path) -> None:
    settings = load_settings(file)
    with pytest.raises(ValidationError):
        settings.store.path = Path("elsewhere")  # type: ignore[misc]


def test_paths_are_relative_to_the_file_not_to_the_working_folder(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(file).store.path == file.parent / "features"


def test_set_overrides_and_reads_values_as_toml_or_text(file: Path) -> None:
    settings = load_settings(
        file,
        [
            "pipelines.tiny.training.epochs=3",
            "encoders.clip-vit-l14.weights=random:0",
            "pipelines.tiny.decoder.lora.rank=2",
        ],
    )
    assert settings.pipelines["tiny"].training.epochs == 3
    assert settings.encoders["clip-vit-l14"].weights == "random:0"
    lora = settings.pipelines["tiny"].decoder.lora
    assert lora is not None and lora.rank == 2


@pytest.mark.parametrize("backwards", [False, True])
def test_a_decoder_is_chosen_before_its_keys_are_changed_in_whatever_order(
    file: Path, backwards: bool
) -> None:
    overrides = [
        "pipelines.tiny.decoder=qwen-3-8b",
        "pipelines.tiny.decoder.lora.rank=2",
        "decoders.qwen-3-8b.dtype=float16",
        "decoders.qwen-3-8b.architecture.head_dim=64",
    ]
    decoder = load_settings(file, overrides[::-1] if backwards else overrides).pipelines["tiny"].decoder
    assert decoder.lora is not None and (decoder.weights, decoder.lora.rank) == ("Qwen/Qwen3-8B", 2)
    assert (decoder.dtype, decoder.architecture["head_dim"]) == ("float16", 64)
    assert decoder.architecture["hidden_size"] == 4096


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pipelines.tny.tasks=[]", r"pipelines.toml has no \[pipelines.tny\]; did you mean 'tiny'"),
        ("pipelines.tiny.trainig.epochs=2", "pipelines.tiny.trainig: unknown key; did you mean 'training'"),
        ("pipelines.tiny.training.epoch=2", "training.epoch: unknown key; did you mean 'epochs'"),
        ("pipelines.tiny.training.epochs=-1", "training.epochs: input should be greater than .* found -1"),
        ("pipelines.tiny.branches.spatial.encoder=ns", "spatial.encoder names 'ns'.*did you mean 'nss'"),
        (
            "pipelines.tiny.branches.spatial.projector.kind=mpl",
            "projector.kind: input should be 'vit', 'mlp', 'perceiver' or 'clip-layer'",
        ),
        ("pipelines.tiny.decoder.lora.rnk=2", "lora.rnk: unknown key; did you mean 'rank'"),
        ("datasets.demo.mos_range=[3, 3]", "two different numbers"),
        ("datasets.demo.mos_range=[0, inf]", "mos_range.1: .* finite"),
        ("datasets.demo.mos_range=[nan, 5]", "mos_range.0: .* finite"),
        ("pipelines=3", r"pipelines is 3: expected a table, \[pipelines\]"),
        ("pipelines.tiny=5", r"pipelines.tiny is 5: expected a table"),
        ("datasets.demo=foo", r"datasets.demo is 'foo': expected a table"),
        ("decoders.tiny-llama=1", "decoders.tiny-llama is 1: expected a table"),
        ("pipelines.tiny.training.seed=1e23", "training.seed: .* found 1e\\+23"),
        ("pipelines.tiny.training.seed=-1", "training.seed: .* found -1"),
        ("pipelines.tiny.training.threads=0", "training.threads: .* found 0"),
        ("pipelines.tiny.training.gradient_clip=0", "gradient_clip: .* greater than 0"),
        ("pipelines.tiny.training.gradient_clip=-1.0", "gradient_clip: .* greater than 0"),
        ("pipelines.tiny.training.learning_rate=inf", "learning_rate: .* finite"),
        ("pipelines.tiny.branches.spatial.projector.hidden=[0]", "hidden.0: .* greater than 0"),
        ("pipelines.tiny.branches.spatial.projector.hidden=[-5]", "hidden.0: .* greater than 0"),
        ("pipelines.tiny.decoder.weights=random:x", "decoder.weights: 'random:x': expected random:SEED"),
        ("encoders.clip-vit-l14.weights=random:", "weights: 'random:': expected random:SEED"),
        ("tasks.score.answer=fine", "tasks.score.answer: 'fine': expected {value} in it"),
        ("tasks.level.answer={level}", "expected {value} in it"),
        ("tasks.level.form.decimals=2", "tasks.level.form.decimals: unknown key; known: between, cut_at"),
        ("tasks.level.form.kind=wrds", "tasks.level.form: .*'number', 'words', 'text'"),
        ('tasks.level.form.words=["good", "Good"]', "tasks.level.form: the words good, Good are not all"),
        ("tasks.level.form.words.bad=worst", "tasks.level.form.words.bad: input should be a valid number"),
        ("tasks.level.form.cuts=[0.5]", "form: cuts = .*expected 2 rising numbers between 0 and 1"),
        (
            "tasks.score.form={ kind = 'number', low = 1, high = 5, parse = 'released' }",
            "expected low = 0 and",
        ),
        ("tasks.score.label_range=[0, 1]", "label_range: expected .worst, best. of a column"),
        ("pipelines.lmm-vqa.levels=score", "levels names 'score': expected a task of words for opinion"),
        ("pipelines.tiny.training.early_stopping=2", "early_stopping may end before the last epochs"),
        ("tasks.score.form.high=0", "tasks.score.form: low = 0, high = 0: expected a higher"),
        ("tasks.score.form={ kind = 'text' }", "label = 'mos' is a number: name the column"),
        ('pipelines.tiny.tasks=["scor"]', "tiny.tasks names 'scor'.*did you mean 'score'"),
        ("pipelines.lmm-vqa.levels=levl", "lmm-vqa.levels names 'levl'.*did you mean 'level'"),
        ("pipelines.tiny", "expected KEY=VALUE"),
    ],
)
def test_a_fault_names_the_key_and_the_nearest_valid_one(file: Path, override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(file, [override])


def test_an_entry_that_extends_itself_or_nothing_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pipelines.toml"
    file.write_text('[encoders.a]\nextends = "b"\n[encoders.b]\nextends = "a"\n')
    with pytest.raises(SettingsError, match=r"\[encoders.a\] extends itself: a → b → a"):
        load_settings(file)
    file.write_text('[encoders.clip]\nextends = "clop"\n')
    with pytest.raises(SettingsError, match="extends 'clop', which is not in"):
        load_settings(file)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none.toml: no such file"):
        load_settings(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="cannot be read as a settings file: Is a directory"):
        load_settings(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe9"\n')
    with pytest.raises(SettingsError, match=r"latin.toml: not UTF-8 text"):
        load_settings(tmp_path / "latin.toml")
    (tmp_path / "broken.toml").write_text("[a\n")
    with pytest.raises(SettingsError, match=r"broken.toml: not valid TOML"):
        load_settings(tmp_path / "broken.toml")


def test_looking_up_an_unknown_name_suggests_the_nearest(file: Path) -> None:
    with pytest.raises(SettingsError, match="no dataset named 'LSVG'; did you mean 'LSVQ'"):
        lookup(load_settings(file).datasets, "LSVG", "dataset")


def test_what_is_inherited_can_be_dropped(file: Path) -> None:
    dropped = [
        f"pipelines.lmm-vqa-released.branches.temporal.{key}=false" for key in ("append_to", "first_chunks")
    ]
    temporal = load_settings(file, dropped).pipelines["lmm-vqa-released"].branches["temporal"]
    assert (temporal.append_to, temporal.first_chunks) == (None, None)
    without = load_settings(file, ["pipelines.tiny.branches.temporal=false"]).pipelines["tiny"]
    assert list(without.branches) == ["spatial"]
    more = ["tasks.level.form.words={ bad = 0, poor = 25, fair = 50, good = 75, excellent = 100 }"]
    five = load_settings(file, more).tasks["level"].form
    assert isinstance(five, WordsForm) and list(five.words) == ["bad", "poor", "fair", "good", "excellent"]
    added = load_settings(file, ["tasks.level.form.words.bad=-1"]).tasks["level"].form
    assert isinstance(added, WordsForm) and list(added.words) == ["bad", "poor", "fair", "good"]
    two = load_settings(file, ["tasks.level.form.words.fair=false"]).tasks["level"].form
    assert isinstance(two, WordsForm) and list(two.words) == ["poor", "good"]
