from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from store.errors import DuplicateVideo, ImportFailed
from store.exchange.arrays import mat_file
from store.exchange.importing import Imported, import_features, open_source
from store.exchange.matrix import matrix_source
from store.exchange.source import Options
from store.features import FeatureStore


def import_matrix(
    store: FeatureStore, dataset: str, encoder: str, file: Path, key: str, ids: Path, column: str
) -> Imported:
    with open_source(file, Options(key=key, ids=f"{ids}:{column}")) as source:
        return import_features(store, dataset, encoder, source)


@pytest.fixture
def videval(shared_data: Path) -> Path:
    return shared_data / "features" / "KONVID_1K_VIDEVAL_feats.mat"


@pytest.fixture
def konvid(shared_data: Path) -> Path:
    return shared_data / "labels" / "KoNViD-1k" / "KONVID_1K_metadata.csv"


def test_the_published_features_of_konvid_are_imported_row_by_row(
    videval: Path, konvid: Path, tmp_path: Path
) -> None:
    store = FeatureStore(tmp_path)
    done = import_matrix(store, "KoNViD-1k", "videval", videval, "feats_mat", konvid, "flickr_id")
    assert (done.videos, done.new) == (1200, 1200)
    assert done.imputed == {"12465909365": [20], "3516162818": [20]}
    features = store.find("KoNViD-1k", "videval")
    matrix = loadmat(videval)["feats_mat"]
    ids = [line.split(",")[0] for line in konvid.read_text().splitlines()[1:]]
    median = np.nanmedian(matrix[:, 20]).astype(np.float32)
    for row, video in enumerate(ids):
        expected = matrix[row].astype(np.float32)
        found = features.read(video, "features")
        assert found.shape == (1, 1, 60)
        assert np.array_equal(found[0, 0], np.where(np.isnan(expected), median, expected))
    assert features.meta("12465909365") == {"imputed_columns": [20]}
    assert features.meta(ids[0]) == {}
    assert features.specification["imputation"] == {"rule": "column median", "values": 2}
    assert features.key == "d2187a7ccb02", "sets that were imported before keep their names"


def test_the_same_import_twice_changes_nothing(videval: Path, konvid: Path, tmp_path: Path) -> None:
    for new in (1200, 0):
        done = import_matrix(
            FeatureStore(tmp_path), "KoNViD-1k", "videval", videval, "feats_mat", konvid, "flickr_id"
        )
        assert done.new == new
    assert len(done.features.index.markers) == 1


def _ids(tmp_path: Path, *videos: str) -> Path:
    file = tmp_path / "ids.csv"
    file.write_text("\n".join(["name,mos", *(f"{video},3" for video in videos)]))
    return file


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "column", "videos", "error", "message"),
    [
        ("feat", "name", ["a", "b"], ImportFailed, r"no 'feat'; did you mean 'feats'\?; it has feats"),
        ("text", "name", ["a", "b"], ImportFailed, "expected a matrix of real numbers"),
        ("cube", "name", ["a", "b"], ImportFailed, r"cube is \[2, 2, 2\]"),
        ("hole", "name", ["a", "b"], ImportFailed, "no finite value in the columns 1"),
        ("feats", "names", ["a", "b"], ImportFailed, r"no column 'names'; did you mean 'name'"),
        ("feats", "name", ["a"], ImportFailed, "2 rows, but .*lists 1 videos"),
        ("feats", "name", ["a.mp4", "a.mp4"], DuplicateVideo, "1 videos twice: a"),
        ("feats", "name", ["a", ""], ImportFailed, "no name in line 3"),
    ],
)
def test_what_does_not_fit_is_said(
    tmp_path: Path, key: str, column: str, videos: list[str], error: type[Exception], message: str
) -> None:
    content = {
        "feats": np.ones((2, 3)),
        "text": "words",
        "cube": np.ones((2, 2, 2)),
        "hole": np.array([[1, np.nan], [2, np.nan]]),
    }
    savemat(tmp_path / "features.mat", content)
    with pytest.raises(error, match=message):
        import_matrix(
            FeatureStore(tmp_path / "store"),
            "demo",
            "made",
            tmp_path / "features.mat",
            key,
            _ids(tmp_path, *videos),
            column,
        )
    assert not (tmp_path / "store").exists()


def test_a_value_beyond_float32_costs_its_own_video_only(tmp_path: Path) -> None:
    savemat(tmp_path / "features.mat", {"huge": np.array([[1.0, 2.0], [1e39, np.nan]])})
    store, ids = FeatureStore(tmp_path / "store"), _ids(tmp_path, "a", "b")
    done = import_matrix(store, "demo", "made", tmp_path / "features.mat", "huge", ids, "name")
    assert done.features.videos() == ["a"] and done.imputed == {}
    assert "1e+39 is beyond float32" in done.quarantined["b"].reason


def test_files_that_are_no_matlab_files_are_named(tmp_path: Path) -> None:
    for name, data in [
        ("text.mat", b"video,mos\n" * 40),
        ("empty.mat", b""),
        ("random.mat", bytes(range(256))),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImportFailed, match=name), mat_file(tmp_path / name):
            pass


def test_a_file_that_crashes_its_reader_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "bad.mat", {"f": np.ones((3, 4))})
    data = bytearray((tmp_path / "bad.mat").read_bytes())
    data[176] = 133  # the type of the numbers: one that does not exist
    (tmp_path / "bad.mat").write_bytes(data)
    with (
        pytest.raises(ImportFailed, match=r"bad\.mat cannot be read as a MATLAB file"),
        mat_file(tmp_path / "bad.mat"),
    ):
        pass


def test_a_file_of_matlab_73_is_read_the_right_way_round(tmp_path: Path) -> None:
    matrix = np.arange(6.0).reshape(3, 2)
    file = tmp_path / "v73.mat"
    with h5py.File(file, "w", userblock_size=512) as content:
        content["feats"] = matrix.T
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    with file.open("r+b") as raw:
        raw.write(header)
    with mat_file(file) as arrays:
        assert np.array_equal(arrays.read("feats"), matrix)


def test_infinite_values_are_imputed_and_the_rest_is_untouched() -> None:
    rows = np.array([[1.0, 5.0], [np.inf, 6.0], [3.0, -np.inf], [8.0, np.nan]])
    matrix = matrix_source(rows, "m", list("abcd"), "list", None, {})
    complete = [matrix.read(video)["features"][0, 0].tolist() for video in "abcd"]
    assert complete == [[1, 5], [3, 6], [3, 5.5], [8, 5.5]]
    assert matrix.imputed == {"b": [0], "c": [1], "d": [1]}
    assert np.isnan(rows[3, 1]), "the source itself stays as it is"
