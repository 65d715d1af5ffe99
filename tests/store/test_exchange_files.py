import json
import random
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from foreign_features import bring, numbers, save
from safetensors.numpy import save_file

from store.errors import DuplicateVideo, ImportFailed, InvalidFeatures, StoreError
from store.exchange.arrays import npy_files


def test_a_dataset_for_each_video_or_stream_is_imported(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "flat.h5", "w") as content:
        content.create_dataset("clip.mp4", data=numbers(4, 3), compression="gzip", chunks=(1, 3))
        content["other"] = numbers(2, 3, seed=1)
        content["names"] = ["clip.mp4", "other"]
    done = bring(tmp_path / "store", tmp_path / "flat.h5")
    assert done.features.videos() == ["clip", "other"]
    assert np.array_equal(done.features.read("clip", "features"), numbers(4, 3))
    assert "no numbers" in done.passed_over["names"]
    with h5py.File(tmp_path / "nested.h5", "w") as content:
        content["dir/clip/slow"] = numbers(4, 3, dtype="float64")
        content["dir/clip/fast"] = numbers(9, 2, dtype="float16")
    with h5py.File(tmp_path / "numbered.h5", "w") as content:
        content["batch/1"], content["batch/2"] = numbers(4, 3), numbers(4, 3)
    with pytest.raises(ImportFailed, match=r"batch/1, batch/2\. Say with --pattern"):
        bring(tmp_path / "store", tmp_path / "numbered.h5")
    with pytest.raises(ImportFailed, match=r"dir/clip/fast.*--pattern '\{video\}/\{stream\}'"):
        bring(tmp_path / "store", tmp_path / "nested.h5")
    features = bring(tmp_path / "store", tmp_path / "nested.h5", pattern="{video}/{stream}").features
    assert np.array_equal(features.read("dir/clip", "slow"), numbers(4, 3, dtype="float64").astype("f4"))
    assert features.read("dir/clip", "fast").tobytes() == numbers(9, 2, dtype="float16").tobytes()


def test_one_dataset_of_all_videos_is_imported_with_ids_from_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "all.h5"
    rows = numbers(3, 5, dtype="float16")
    rows[1, 2] = np.nan
    with h5py.File(file, "w") as content:
        content["feats"], content["names"] = rows, ["a.mp4", "dir/b.mp4", "c"]
        content["maps"] = numbers(3, 4, 2)
    done = bring(tmp_path / "store", file, key="feats", ids=f"{file}:names")
    assert done.imputed == {"dir/b": [2]}
    found = done.features.read("dir/b", "features")
    assert (found.shape, found.dtype) == ((1, 1, 5), np.float16)
    assert found[0, 0, 2] == np.float16(np.median(rows[[0, 2], 2].astype(float)))
    assert np.array_equal(done.features.read("c", "features")[0, 0], rows[2])
    kept = bring(tmp_path / "store", file, key="feats", ids=f"{file}:names", missing="quarantine")
    assert kept.features.videos() == ["a", "c"] and "1 of 5 values" in kept.quarantined["dir/b"].reason
    maps = bring(tmp_path / "store", file, key="maps", ids=f"{file}:names").features
    assert np.array_equal(maps.read("c", "features"), numbers(3, 4, 2)[2])  # [4, 2]: four items
    with pytest.raises(ImportFailed, match="no 'feat'; did you mean 'feats'"):
        bring(tmp_path / "store", file, key="feat", ids=f"{file}:names")
    with pytest.raises(ImportFailed, match="needs both --key"):
        bring(tmp_path / "store", file, key="feats")


def test_a_matrix_in_a_folder_has_another_key_where_its_numbers_changed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "ids.txt").write_text("a\nb\n")
    keys = set()
    for seed in (0, 1):
        with h5py.File(tmp_path / "in" / "features.h5", "w") as content:
            content["feats"] = numbers(2, 5, seed=seed)
        done = bring(tmp_path / "store", tmp_path / "in", key="feats", ids=str(tmp_path / "ids.txt"))
        keys.add(done.features.key)
    assert len(keys) == 2


@pytest.mark.parametrize("table", ["name;mos\na.mp4;3,5\nb;4\n", "\ufeffmos\tname\n3.5\ta.mp4\n4\tb\n"])
def test_ids_come_from_any_table_that_labels_come_from(tmp_path: Path, table: str) -> None:
    save(tmp_path / "m.npy", numbers(2, 4))
    (tmp_path / "ids.csv").write_text(table)
    done = bring(tmp_path / "store", tmp_path / "m.npy", ids=f"{tmp_path / 'ids.csv'}:name")
    assert done.features.videos() == ["a", "b"]


def test_a_truncated_hdf5_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cut.h5"
    with h5py.File(file, "w") as content:
        content["a"] = numbers(1000, 3)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ImportFailed, match=r"cut\.h5 cannot be read as HDF5: .*truncated"):
        bring(tmp_path / "store", file)


def test_a_damaged_dataset_costs_its_own_video_only(tmp_path: Path) -> None:
    file = tmp_path / "rot.h5"
    with h5py.File(file, "w") as content:
        for number, video in enumerate("abc"):
            content.create_dataset(video, data=numbers(64, 8, seed=number), fletcher32=True, chunks=(64, 8))
        place = content["b"].id.get_chunk_info(0).byte_offset
    with file.open("r+b") as raw:
        raw.seek(place + 100)
        raw.write(b"\xff\xff\xff")
    done = bring(tmp_path / "store", file)
    assert done.features.videos() == ["a", "c"]
    assert "b cannot be read" in done.quarantined["b"].reason


def test_a_damaged_row_of_maps_costs_its_own_video_only(tmp_path: Path) -> None:
    file = tmp_path / "rot.h5"
    with h5py.File(file, "w") as content:
        maps = content.create_dataset("maps", data=numbers(3, 8, 8), fletcher32=True, chunks=(1, 8, 8))
        content["names"] = ["a", "b", "c"]
        place = maps.id.get_chunk_info_by_coord((1, 0, 0)).byte_offset
    with file.open("r+b") as raw:
        raw.seek(place + 100)
        raw.write(b"\xff\xff\xff")
    done = bring(tmp_path / "store", file, key="maps", ids=f"{file}:names")
    assert done.features.videos() == ["a", "c"]
    assert "maps: row 1 cannot be read" in done.quarantined["b"].reason


def test_tensors_are_imported_and_bfloat16_is_kept(tmp_path: Path) -> None:
    save_file(
        {"clip.mp4": numbers(4, 3, dtype="float16"), "b": numbers(2, 3, dtype="float16")},
        tmp_path / "a.safetensors",
    )
    features = bring(tmp_path / "store", tmp_path / "a.safetensors").features
    assert features.read("clip", "features").tobytes() == numbers(4, 3, dtype="float16").tobytes()
    header = json.dumps({"v": {"dtype": "BF16", "shape": [2, 1], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "bf.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\x80\x3f\x00\xc0")
    found = bring(tmp_path / "store", tmp_path / "bf.safetensors").features.read("v", "features")
    assert found.dtype.name == "bfloat16" and found.astype(np.float32).tolist() == [[1], [-2]]


def test_one_tensor_of_all_videos_is_imported_by_its_key(tmp_path: Path) -> None:
    file = tmp_path / "all.safetensors"
    save_file({"feats": numbers(2, 5), "other": numbers(1)}, file)
    (tmp_path / "ids.txt").write_text("a.mp4\nb\n")
    features = bring(tmp_path / "store", file, key="feats", ids=str(tmp_path / "ids.txt")).features
    assert np.array_equal(features.read("b", "features")[0, 0], numbers(2, 5)[1])
    with pytest.raises(ImportFailed, match="no 'feat'; did you mean 'feats'"):
        bring(tmp_path / "store", file, key="feat", ids=str(tmp_path / "ids.txt"))


def test_shards_are_one_source_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    for name, videos in {"one": "ab", "two": "c"}.items():
        save_file({f"{v}/slow": numbers(3, 2) for v in videos}, tmp_path / f"{name}.safetensors")
    whole = bring(tmp_path / "store", tmp_path, pattern="{video}/{stream}").features
    assert whole.videos() == ["a", "b", "c"] and list(whole.streams) == ["slow"]
    two = tmp_path / "two.safetensors"
    two.write_bytes(two.read_bytes()[:-1])
    with pytest.raises(ImportFailed, match=r"two\.safetensors cannot be read as safetensors"):
        bring(tmp_path / "store", tmp_path, pattern="{video}/{stream}")
    two.write_bytes((tmp_path / "one.safetensors").read_bytes())
    with pytest.raises(ImportFailed, match=r"both .*one\.safetensors and .*two\.safetensors have .*'a/slow'"):
        bring(tmp_path / "store", tmp_path, pattern="{video}/{stream}")


def test_a_npy_matrix_is_imported_with_a_text_of_ids(tmp_path: Path) -> None:
    rows = save(tmp_path / "m.npy", numbers(3, 4, dtype="float64"))
    rows[0, 1] = np.nan
    save(tmp_path / "m.npy", rows)
    ids = tmp_path / "ids.txt"
    ids.write_text("a.mp4\nb\nc\n")
    done = bring(tmp_path / "store", tmp_path / "m.npy", ids=str(ids))
    assert done.imputed == {"a": [1]} and done.features.meta("a") == {"imputed_columns": [1]}
    assert np.array_equal(done.features.read("b", "features")[0, 0], rows[1].astype(np.float32))
    (tmp_path / "order.txt").write_text("b\na\nc\n")
    other = bring(tmp_path / "store", tmp_path / "m.npy", ids=str(tmp_path / "order.txt"))
    assert other.features.key != done.features.key, "other ids are other features"
    ids.write_text("a\na.mp4\nc\n")
    with pytest.raises(DuplicateVideo, match="1 videos twice: a"):
        bring(tmp_path / "store", tmp_path / "m.npy", ids=str(ids))
    ids.write_text("a\n")
    with pytest.raises(ImportFailed, match=r"3 rows, but .* lists 1 videos"):
        bring(tmp_path / "store", tmp_path / "m.npy", ids=str(ids))
    (tmp_path / "m.npy").write_bytes((tmp_path / "m.npy").read_bytes()[:-1])
    with pytest.raises(ImportFailed, match=r"m\.npy: .*cannot be read as \.npy"):
        bring(tmp_path / "store", tmp_path / "m.npy", ids=str(ids))


def test_a_matrix_of_whole_numbers_is_kept_as_float32(tmp_path: Path) -> None:
    rows = save(tmp_path / "m.npy", np.arange(-6, 6, dtype=np.int8).reshape(3, 4))
    (tmp_path / "ids.txt").write_text("a\nb\nc")
    features = bring(tmp_path / "store", tmp_path / "m.npy", ids=str(tmp_path / "ids.txt")).features
    assert features.streams["features"].dtype == "float32"
    assert features.read("c", "features")[0, 0].tolist() == rows[2].tolist()


def test_medians_are_the_same_whatever_the_size_of_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = numbers(23, 7)
    rows[np.random.default_rng(1).random(rows.shape) < 0.2] = np.nan
    save(tmp_path / "m.npy", rows)
    (tmp_path / "ids.txt").write_text("\n".join(f"v{n}" for n in range(23)))
    medians = np.nanmedian(rows.astype(np.float64), axis=0)
    expected = np.where(np.isnan(rows), medians, rows).astype(np.float32)
    for size in (1, 200, 1 << 20):
        monkeypatch.setattr("store.exchange.matrix._BLOCK_BYTES", size)
        features = bring(tmp_path / str(size), tmp_path / "m.npy", ids=str(tmp_path / "ids.txt")).features
        found = np.concatenate([features.read(f"v{n}", "features")[0] for n in range(23)])
        assert np.array_equal(found, expected)


def _mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        changed[chance.randrange(min(len(changed), 200))] = chance.randrange(256)
    return bytes(changed[: chance.choice([len(data), chance.randrange(1, len(data))])])


def test_no_damage_to_a_file_ends_in_anything_but_features_or_a_named_refusal(tmp_path: Path) -> None:
    chance = random.Random(0)
    whole = save(tmp_path / "a.npy", numbers(3, 4))
    npy = (tmp_path / "a.npy").read_bytes()
    save_file({"a": whole, "b": whole}, tmp_path / "s.safetensors")
    tensors = (tmp_path / "s.safetensors").read_bytes()
    damaged = npy_files({"m": tmp_path / "m.npy"})
    refused = 0
    for number in range(400):
        (tmp_path / "m.npy").write_bytes(_mutated(npy, chance))
        try:
            damaged.look("m")
        except InvalidFeatures:
            refused += 1
        if number % 8 == 0:
            (tmp_path / "m.safetensors").write_bytes(_mutated(tensors, chance))
            try:
                bring(tmp_path / "store", tmp_path / "m.safetensors")
            except StoreError as error:
                assert str(error)
                refused += 1
    assert refused > 300
