"""The reference clip: features of other numbers do not mix under one key."""

import json

import numpy as np
import pytest
from extraction import recipe, run_job
from fragile_encoder import FragileEncoder
from small_videos import encode

from extract.encoders.arrays import Overflow
from extract.encoders.nss.encoder import NssEncoder
from extract.job.job import ExtractionJob
from extract.run.extractor import Extractor
from extract.run.reference import ChangedNumbers, check_references, provenance, read_reference
from extract.tasks import VideoTask
from store.features import FeatureStore


class Scaled(FragileEncoder):
    """The same key, but other numbers, as another version of a library may give them."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor

    def encode(self, chunks):
        return [{"mean": features["mean"] * np.float32(self.factor)} for features in super().encode(chunks)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return {f"v{n}": encode(folder / f"v{n}.mp4", frames=20 * n, rate=20) for n in (1, 2)}


def features(store):
    return FeatureStore(store).find("set", "mean")


def test_other_numbers_are_refused_and_nothing_is_stored(tmp_path, videos):
    run_job(tmp_path, {"mean": Scaled()}, {"v1": videos["v1"]})
    file = features(tmp_path).path / "reference.json"
    recorded = json.loads(file.read_text())
    recorded["made_with"]["ffmpeg"] = "4.2"
    file.write_text(json.dumps(recorded))
    with pytest.raises(ChangedNumbers, match=r"differs by 0\.01 .*ffmpeg 4\.2 → .*--refresh"):
        run_job(tmp_path, {"mean": Scaled(1.01)}, videos)
    assert features(tmp_path).videos() == ["v1"]


def test_rounding_is_no_change(tmp_path, videos):
    run_job(tmp_path, {"mean": Scaled()}, {"v1": videos["v1"]})
    _, summary = run_job(tmp_path, {"mean": Scaled(1.0001)}, videos)
    assert (summary.done, summary.already, summary.outdated) == (1, 1, {})


def test_a_refresh_extracts_everything_anew_even_if_it_is_interrupted(tmp_path, videos):
    run_job(tmp_path, {"mean": Scaled()}, videos)
    before = features(tmp_path).read("v2", "mean")
    # The new numbers are recorded; then the command is killed.
    job = ExtractionJob(recipe(tmp_path), {"mean": Scaled(2.0)})
    check_references({"mean": Scaled(2.0)}, job.sets, refresh=True)
    _, summary = run_job(tmp_path, {"mean": Scaled(2.0)}, videos)
    assert summary.outdated == dict.fromkeys(videos, "the encoder gives other numbers now")
    _, summary = run_job(tmp_path, {"mean": Scaled(2.0)}, videos, refresh=True)
    assert (summary.done, summary.outdated) == (2, {})
    np.testing.assert_allclose(features(tmp_path).read("v2", "mean"), 2 * before)
    assert read_reference(features(tmp_path)).generation == 2


def test_a_refresh_finds_a_change_by_itself(tmp_path, videos):
    run_job(tmp_path, {"mean": Scaled()}, videos)
    _, summary = run_job(tmp_path, {"mean": Scaled(2.0)}, videos, refresh=True)
    assert (summary.done, summary.already, summary.outdated) == (2, 0, {})
    _, summary = run_job(tmp_path, {"mean": Scaled(2.0)}, videos, refresh=True)
    assert (summary.done, summary.already) == (0, 2)


def test_features_from_before_there_was_a_reference_are_accepted(tmp_path, videos):
    run_job(tmp_path, {"mean": Scaled()}, {"v1": videos["v1"]})
    (features(tmp_path).path / "reference.json").unlink()
    _, summary = run_job(tmp_path, {"mean": Scaled()}, videos)
    assert (summary.done, summary.already, summary.outdated) == (1, 1, {})
    assert read_reference(features(tmp_path)) is not None


def test_every_process_checks_its_encoders_itself(tmp_path, videos):
    run_job(tmp_path, {"mean": Scaled()}, {"v1": videos["v1"]})
    extractor = Extractor(recipe(tmp_path), "cpu", {"mean": Scaled(3.0)})
    with extractor, pytest.raises(ChangedNumbers):
        list(extractor.extract([VideoTask("v2", videos["v2"], ("mean",))]))


class OverflowsAlways(FragileEncoder):
    def encode(self, chunks):
        raise Overflow(f"{len(chunks)} chunks do not fit into float16")


def test_an_encoder_whose_reference_does_not_fit_records_nothing(tmp_path):
    job = ExtractionJob(recipe(tmp_path), {"mean": OverflowsAlways()})
    check_references({"mean": OverflowsAlways()}, job.sets)
    assert read_reference(job.sets["mean"]) is None


def test_the_reference_in_object_storage_is_read_by_others():
    url = "memory://bucket/references"
    job = ExtractionJob(recipe(url), {"mean": Scaled()})
    check_references({"mean": Scaled()}, job.sets)
    other = ExtractionJob(recipe(url), {"mean": Scaled(2.0)})
    with pytest.raises(ChangedNumbers):
        check_references({"mean": Scaled(2.0)}, other.sets)


def test_real_encoders_have_a_reference_and_say_what_they_ran_with(tmp_path):
    encoder = NssEncoder()
    job = ExtractionJob(recipe(tmp_path), {"nss": encoder})
    for _ in range(2):
        check_references({"nss": encoder}, job.sets)
    reference = read_reference(job.sets["nss"])
    assert set(reference.streams) == {"spatial", "temporal"}
    assert np.ptp(reference.streams["spatial"]) > 1
    assert {"av", "ffmpeg", "numpy", "device"} <= provenance(encoder).keys()
