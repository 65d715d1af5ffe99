"""The embedded model: made from published features by one command, shipped, and the default of `predict`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_videos import encode
from typer.testing import CliRunner

from config.load import EMBEDDED_MODEL, load_settings
from demo.__main__ import app
from demo.opinions import build_model, with_labels_from
from demo.published import PublishedFileMissing, import_published
from demo.shipping import SUMMARY_FILE
from evaluate.scoring.model import load_trained
from extract.encoders.registry import build_encoder
from store.features import FeatureStore
from train.errors import RunError
from train.pretrained import from_pretrained

ROOT = Path(__file__).parents[2]
SHORT = [
    "pipelines.embedded.members=2",
    "pipelines.embedded.training.epochs=1",
    "pipelines.embedded.training.data_share=0.1",
    "protocols.opinions-folds.repeats=2",
    'protocols.opinions-folds.datasets=["LIVE-VQC"]',
    "protocols.opinions-folds.also=[]",
]
SLOW_TO_IMPORT = {
    "sklearn",
    "scipy.stats",
    "matplotlib",
    "pandas",
    "peft",
    "bitsandbytes",
    "pytorchvideo",
    "ray",
}
"""What no prediction needs, and a person would wait for."""


def test_it_comes_with_the_repository_small_and_without_anybodys_paths() -> None:
    files = [path for path in EMBEDDED_MODEL.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000
    config = (EMBEDDED_MODEL / "config.json").read_text()
    assert "/home" not in config and "/work" not in config and "/tmp" not in config
    summary = json.loads((EMBEDDED_MODEL / SUMMARY_FILE).read_text())
    assert sum(summary["videos"].values()) == sum(
        part["videos"] for split in json.loads(config)["split"].values() for part in split.values()
    )
    card = (EMBEDDED_MODEL / "README.md").read_text()
    for said in ("VIDEVAL", "MIT", "Limits", f"{summary['all']['expected']['srcc']:.3f}"):
        assert said in card


def test_it_is_tied_to_what_our_encoder_gives() -> None:
    trained = from_pretrained(EMBEDDED_MODEL, device="cpu")
    settings = load_settings(ROOT / "pipelines.toml")
    encoder = build_encoder(settings.encoders["videval-still"])
    trained.check_features({"videval-still": encoder.specification()})
    assert trained.settings.pipeline.branches["quality"].distance


def test_without_its_files_it_is_said_which_and_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "embedded"
    shutil.copytree(EMBEDDED_MODEL, own)
    monkeypatch.setattr("evaluate.scoring.model.EMBEDDED_MODEL", own)
    shutil.rmtree(own / "decoder")
    with pytest.raises(
        RunError, match=r"lacks decoder/config\.json, decoder/model.*git checkout.*make embedded"
    ):
        load_trained(own, "cpu")
    shutil.rmtree(own)
    with pytest.raises(RunError, match=r"lacks config\.json, model\.safetensors, SHA256SUMS, decoder/"):
        load_trained(own, "cpu")


def test_a_video_is_scored_by_it_where_no_run_is_named(tmp_path: Path) -> None:
    video = encode(tmp_path / "clip.mp4", frames=50, rate=25, size=(96, 128))
    command = [sys.executable, "-X", "importtime", "-m", "evaluate", "predict", str(video), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    (found,) = json.loads(result.stdout)
    assert (
        0 <= found["score"] <= 100 and found["std"] > 0 and found["text"].startswith("The quality score is")
    )
    assert found["distance"] > 1 and "unlike the videos" in " ".join(found["warnings"])
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "train.pretrained" in imported and not imported & SLOW_TO_IMPORT


@pytest.mark.slow
def test_published_features_are_what_our_encoder_gives(shared_data: Path, tmp_path: Path) -> None:
    settings = with_labels_from(shared_data / "labels", load_settings(ROOT / "pipelines.toml"))
    store = FeatureStore(tmp_path)
    encoder = settings.encoders["videval"]
    datasets = {name: settings.datasets[name] for name in ("KoNViD-1k", "LIVE-VQC")}
    done = import_published(store, encoder, datasets, shared_data / "features")
    assert {name: each.videos for name, each in done.items()} == {"KoNViD-1k": 1200, "LIVE-VQC": 585}
    sets = [store.find(name, "videval") for name in datasets]
    assert sets[0].key == sets[1].key and sets[0].specification == build_encoder(encoder).specification()
    meta = sets[0].meta("10053703034")
    assert meta["imported"]["file"] == "KONVID_1K_VIDEVAL_light480_3fps_feats.mat"
    assert "still" not in meta["imported"]
    again = import_published(store, encoder, datasets, shared_data / "features")
    assert all(each.new == 0 for each in again.values())
    with pytest.raises(PublishedFileMissing, match=r"KONVID_1K_VIDEVAL_light480_3fps_feats\.mat"):
        import_published(store, encoder, datasets, tmp_path)
    import_published(store, settings.encoders["videval-still"], datasets, shared_data / "features")
    both = store.find("KoNViD-1k", "videval-still")
    assert both.read("10053703034", "features").tolist() == sets[0].read("10053703034", "features").tolist()
    assert both.read("10053703034", "still").tolist() == [[[0.0]]]
    assert "taken as 0" in both.meta("10053703034")["imported"]["still"]


@pytest.fixture(scope="module")
def made(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model made in short, and of the features that it was made from."""
    folder = tmp_path_factory.mktemp("made")
    make(folder, shared_data, "one")
    return folder


def make(folder: Path, shared_data: Path, name: str) -> None:
    settings = load_settings(ROOT / "pipelines.toml", [f"store.path={folder / 'features'}", *SHORT])
    settings = with_labels_from(shared_data / "labels", settings)
    built = build_model(folder / f"{name}-model", shared_data / "features", settings, folder / name)
    assert built.folder == folder / f"{name}-model"


@pytest.mark.slow
def test_it_is_made_of_published_features_and_says_how_good_it_is(made: Path) -> None:
    summary = json.loads((made / "one-model" / SUMMARY_FILE).read_text())
    assert summary["std_scale"] > 0 and set(summary["datasets"]) == set(summary["videos"])
    assert from_pretrained(made / "one-model", device="cpu").settings.pipeline.members == 2


@pytest.mark.soak
def test_made_twice_it_is_the_same_to_the_bit(made: Path, shared_data: Path) -> None:
    make(made, shared_data, "two")
    one, two = ((made / f"{name}-model" / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.soak
def test_made_anew_it_scores_as_the_one_that_is_shipped(shared_data: Path, tmp_path: Path) -> None:
    arguments = ["model", str(shared_data / "features"), "--labels", str(shared_data / "labels")]
    arguments += ["--into", str(tmp_path / "model"), "--work", str(tmp_path / "work")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    features = FeatureStore(tmp_path / "work" / "features").find("KoNViD-1k", "videval-still")
    streams = {"quality": "features", "stillness": "still"}
    videos = [
        {branch: torch.from_numpy(features.read(video, stream)) for branch, stream in streams.items()}
        for video in features.videos()[:300]
    ]
    scores = [
        np.array([found.score for found in from_pretrained(place, device="cpu").predict(videos)])
        for place in (EMBEDDED_MODEL, tmp_path / "model")
    ]
    assert np.abs(scores[0] - scores[1]).max() < 0.5
