"""A store in object storage under the commands, the training and the extraction."""

import json
from pathlib import Path

import numpy as np
import pytest
from extraction import run_job
from fragile_encoder import FragileEncoder
from remote_stores import VIDEOS, features_at
from small_videos import encode
from stored_videos import features_of, write
from typer.testing import CliRunner

from config.load import load_settings
from config.schema import BranchSettings, DatasetSettings
from extract.run.overflow_file import OverflowFile
from store.__main__ import app
from store.exchange.exporting import export
from store.features import FeatureStore
from store.remote.place import is_url, local_folder
from train.data.reader import FeatureReader

# moto's server and botocore warn of what they do inside themselves.
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning")


def test_the_settings_take_a_url_and_the_commands_too(url: str, root: Path, tmp_path: Path) -> None:
    settings = load_settings(root / "pipelines.toml", [f"store.path={url}"])
    features = features_at(settings.store.path)
    write(features, VIDEOS)
    for command in (["ls"], ["show", "demo/random"], ["verify"], ["verify", "demo/random", "--sample", "2"]):
        result = CliRunner().invoke(app, [*command, "--store", url, "--json"])
        assert result.exit_code == 0, (command, result.output, result.exception)
        assert json.loads(result.output)
    shown = CliRunner().invoke(app, ["show", "demo/random", "--store", url]).output
    assert f"{url}/demo/random@" in shown
    assert export(features, tmp_path / "exported") == len(VIDEOS)
    saved = np.load(next((tmp_path / "exported").glob("*000.mp4.temporal.npy")))
    assert np.array_equal(saved, features_of(VIDEOS[0])["temporal"])


def test_training_reads_its_branches(url: str, root: Path) -> None:
    features = features_at(url)
    tokens = np.ones((3, 4, 6), np.float16)
    with features.writer() as writer:
        writer.add("v", {"tokens": tokens})
    dataset = DatasetSettings(
        name="demo", videos=root, labels=root, mos_range=(0, 1), source="made here", minimum_chunks=5
    )
    branch = BranchSettings.model_validate(
        {"encoder": "random", "stream": "tokens", "projector": {"kind": "mlp"}}
    )
    reader = FeatureReader(FeatureStore(url), dataset, {"spatial": branch})
    assert reader.videos() == {"v"}
    assert reader.read("v")["spatial"].shape == (5, 4, 6)


def test_extraction_writes_there_and_goes_on_where_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    videos = {name: encode(tmp_path / f"{name}.mp4", frames=20, rate=20) for name in ("one", "two")}
    videos["empty"] = tmp_path / "empty.mp4"
    videos["empty"].touch()
    run_job(Path(url), {"mean": FragileEncoder()}, {"one": videos["one"]})
    job, summary = run_job(Path(url), {"mean": FragileEncoder()}, videos)
    assert (summary.done, summary.already, summary.newly_quarantined) == (1, 1, 1)
    run_job(tmp_path / "folder", {"mean": FragileEncoder()}, videos)
    expected, found = (FeatureStore(at).find("set", "mean") for at in (tmp_path / "folder", url))
    assert found.videos() == expected.videos() == ["one", "two"]
    for stream in expected.streams:
        assert np.array_equal(found.read("two", stream), expected.read("two", stream))
    assert set(job.refused("mean")) == {"empty"}
    assert not list(tmp_path.glob("*:"))


def test_files_in_the_making_stay_on_this_machine(tmp_path: Path) -> None:
    assert is_url("s3://bucket/x") and is_url(Path("gs://bucket")) and not is_url(Path("C:/features"))
    assert not is_url("./features") and not is_url(Path("/features"))
    assert local_folder(tmp_path) == tmp_path
    spool = OverflowFile(local_folder("s3://bucket/x"), memory_bytes=0)
    spool.add("encoder", {"x": np.ones((2, 3), np.float32)})
    assert np.array_equal(next(iter(spool.streams("encoder")["x"])), np.ones((2, 3)))
    spool.close()
