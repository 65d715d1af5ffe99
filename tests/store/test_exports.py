import json
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from safetensors.numpy import load_file
from stored_videos import feature_set, features_of, write

from store.errors import DamagedPart, ExportFailed, ImportFailed, VideoNotStored
from store.exchange.exporting import TARGETS, export, npy_target
from store.exchange.importing import Imported, import_features, open_source
from store.exchange.source import Options
from store.feature_set import FeatureSet
from store.features import FeatureStore

VIDEOS = ["batch/one.mp4", "two", "ü 🎬", "../up", ".hidden", "A", "a", "x" * 500, "x" * 499 + "y", "a%2Fb"]
VIDEOS += ["..", "a/", "/", "a\\b", "CON", " padded "]


def bring_back(folder: Path, store: Path) -> Imported:
    with open_source(folder, Options()) as source:
        return import_features(FeatureStore(store), "demo", "back", source)


def assert_same(found: FeatureSet, expected: FeatureSet) -> None:
    assert found.videos() == expected.videos()
    for video in expected.videos():
        assert found.meta(video) == expected.meta(video)
        for stream in expected.streams:
            one, other = found.read(video, stream), expected.read(video, stream)
            assert (one.dtype, one.shape) == (other.dtype, other.shape)
            assert one.tobytes() == other.tobytes(), (video, stream)


@pytest.mark.parametrize("format", TARGETS)
def test_what_was_exported_comes_back_bit_for_bit_with_odd_ids_and_meta(tmp_path: Path, format: str) -> None:
    features = feature_set(tmp_path / "store")
    with features.writer() as writer:
        for video in VIDEOS:
            writer.add(video, features_of(video), {"fps": 29.97, "note": f"ü {video}"})
        writer.add("long note", features_of("long note"), {"note": "y" * 100_000})
    assert export(features, tmp_path / "out", format) == len(VIDEOS) + 1
    done = bring_back(tmp_path / "out", tmp_path / "other")
    assert (done.new, done.quarantined, done.passed_over) == (len(VIDEOS) + 1, {}, {})
    assert_same(done.features, features)
    assert done.features.specification["layout"]["export"]["key"] == features.key
    again = bring_back(tmp_path / "out", tmp_path / "other")
    assert (again.new, again.features.path) == (0, done.features.path)
    assert len(again.features.index.markers) == 1


@st.composite
def sets(draw: st.DrawFn) -> dict[str, dict[str, NDArray[Any]]]:
    texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=12)
    videos = draw(st.lists(texts.filter(str.strip), min_size=1, max_size=4, unique=True))
    names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,5}", fullmatch=True)
    streams = draw(st.lists(names, min_size=1, max_size=2, unique_by=str.casefold))
    kinds = {
        stream: (
            draw(st.sampled_from([np.float16, np.float32])),
            draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)),
        )
        for stream in streams
    }
    finite = {"allow_nan": False, "allow_infinity": False}
    return {
        video: {
            stream: draw(hnp.arrays(dtype, (draw(st.integers(1, 3)), *shape), elements=finite))
            for stream, (dtype, shape) in kinds.items()
        }
        for video in videos
    }


@pytest.mark.slow
@pytest.mark.parametrize("format", TARGETS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=sets())
def test_any_feature_set_survives_the_way_out_and_in(
    tmp_path_factory: pytest.TempPathFactory, format: str, content: dict[str, dict[str, NDArray[Any]]]
) -> None:
    root = tmp_path_factory.mktemp("trip")
    features = feature_set(root / "store")
    with features.writer() as writer:
        for video, streams in content.items():
            writer.add(video, streams)
    export(features, root / "out", format)
    assert_same(bring_back(root / "out", root / "other").features, features)


def test_the_npy_manifest_finds_every_file(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "store")
    write(features, VIDEOS)
    export(features, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["key"] == features.key
    assert manifest["streams"]["spatial"] == {"shape": [3, 5], "dtype": "float32"}
    files = set()
    for video in VIDEOS:
        for stream, expected in features_of(video).items():
            name = manifest["videos"][video]["files"][stream]
            files.add(name.casefold())
            found = np.load(tmp_path / "out" / name, allow_pickle=False)
            assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
    assert len(files) == 2 * len(VIDEOS) == len(list((tmp_path / "out").iterdir())) - 1


def test_an_hdf5_export_is_read_with_h5py_alone(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "store")
    write(features, ["batch/one.mp4"])
    export(features, tmp_path / "out", "hdf5")
    with h5py.File(tmp_path / "out" / "features.h5") as content:
        found = content["batch%2Fone.mp4/temporal"][()]
    about = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert found.tobytes() == features_of("batch/one.mp4")["temporal"].tobytes()
    assert (about["key"], about["specification"]) == (features.key, features.specification)


def test_safetensors_are_sharded_and_the_manifest_names_the_shard_of_every_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.exchange.exporting._SHARD_BYTES", 1000)
    videos = [f"dir/{number}" for number in range(9)]
    features = feature_set(tmp_path / "store")
    write(features, videos)
    export(features, tmp_path / "out", "safetensors")
    entries = json.loads((tmp_path / "out" / "manifest.json").read_text())["videos"]
    shards = {path.name: load_file(path) for path in (tmp_path / "out").glob("*.safetensors")}
    assert min(shards) == "features-00001.safetensors" and len(shards) > 2
    found = {f"{v}/{s}": shards[entries[v]["files"][s]][f"{v}/{s}"] for v in videos for s in features.streams}
    assert sum(map(len, shards.values())) == len(found)
    assert sum(array.nbytes for array in found.values()) == features.size_bytes
    assert_same(bring_back(tmp_path / "out", tmp_path / "other").features, features)


@pytest.mark.parametrize("format", TARGETS)
def test_bfloat16_keeps_its_values_in_every_format(tmp_path: Path, format: str) -> None:
    given_ = np.array([[1.5, -3e38, 1e-40]], ml_dtypes.bfloat16)
    features = feature_set(tmp_path / "store")
    with features.writer() as writer:
        writer.add("v", {"features": given_})
    export(features, tmp_path / "out", format)
    found = bring_back(tmp_path / "out", tmp_path / "other").features.read("v", "features")
    assert found.dtype.name == ("bfloat16" if format == "safetensors" else "float32")
    assert np.array_equal(found.astype(np.float32), given_.astype(np.float32))


def test_a_quantised_set_leaves_as_the_float16_that_it_is_read_as(tmp_path: Path) -> None:
    features = FeatureStore(tmp_path / "store").feature_set("demo", "small", {"dtype": "int8"})
    with features.writer() as writer:
        writer.add("v", {"tokens": features_of("v")["temporal"]})
    export(features, tmp_path / "out", "safetensors")
    back = bring_back(tmp_path / "out", tmp_path / "other").features
    assert list(back.streams) == ["tokens"] and not back.quantised
    assert back.read("v", "tokens").tobytes() == features.read("v", "tokens").tobytes()


def test_only_the_videos_that_are_asked_for_are_exported(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "store")
    write(features, ["a", "b", "c"])
    with pytest.raises(VideoNotStored, match="'d'"):
        export(features, tmp_path / "out", videos=["a", "d"])
    assert not (tmp_path / "out").exists()
    assert export(features, tmp_path / "out", videos=["c", "a"]) == 2
    assert bring_back(tmp_path / "out", tmp_path / "other").features.videos() == ["a", "c"]


def test_an_export_wants_an_empty_folder_and_a_format(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "store")
    write(features, ["v"])
    with pytest.raises(ExportFailed, match="not an empty folder"):
        export(features, tmp_path)
    with pytest.raises(ExportFailed, match="no format 'csv': expected npy, hdf5, safetensors"):
        export(features, tmp_path / "out", "csv")


@pytest.mark.parametrize("format", TARGETS)
def test_an_export_that_stops_is_not_taken_for_a_whole_one(tmp_path: Path, format: str) -> None:
    features = feature_set(tmp_path / "store")
    write(features, ["a", "b"])
    (*_, last) = sorted(features.path.glob("parts-*/part-*/temporal/c.*"))
    last.unlink()
    with pytest.raises(DamagedPart, match="temporal"):
        export(features, tmp_path / "out", format)
    with pytest.raises(ImportFailed, match="export that was stopped"):
        bring_back(tmp_path / "out", tmp_path / "other")


@pytest.mark.parametrize("format", TARGETS)
def test_a_manifest_cannot_point_outside_its_folder(tmp_path: Path, format: str) -> None:
    features = feature_set(tmp_path / "store")
    write(features, ["v"])
    export(features, tmp_path / "out", format)
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["videos"]["v"]["files"]["spatial"] = "../" + manifest["videos"]["v"]["files"]["spatial"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ImportFailed, match="folder"):
        bring_back(tmp_path / "out", tmp_path / "other")


def test_an_npy_export_of_an_earlier_version_comes_back(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "store")
    write(features, VIDEOS)
    export(features, tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["videos"].values():
        del entry["names"]
    path.write_text(json.dumps(manifest))
    assert_same(bring_back(tmp_path / "out", tmp_path / "other").features, features)


def test_a_damaged_shard_of_an_export_is_named(tmp_path: Path) -> None:
    features = feature_set(tmp_path / "store")
    write(features, VIDEOS)
    export(features, tmp_path / "out", "safetensors")
    shard = tmp_path / "out" / "features-00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ImportFailed, match=f"{shard} cannot be read as safetensors"):
        bring_back(tmp_path / "out", tmp_path / "other")


def test_file_names_are_safe_and_different(tmp_path: Path) -> None:
    videos = [*VIDEOS, "a/b", "a:b*?"]
    with npy_target(tmp_path) as add:
        names = [add(video, "s", np.zeros(1, np.float32))[0] for video in videos]
    assert len({name.casefold() for name in names}) == len(names)
    assert names[-2] == "a%2Fb.s.npy"
    for name in names:
        assert len(name) < 200 and not name.startswith(".") and not set(name) & set('/\\:*?"<>|\n')
