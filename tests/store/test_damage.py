import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from stored_videos import assert_holds, feature_set, marker_of, write

from store.care.repair import repair
from store.care.verify import verify
from store.errors import DamagedFeatureSet, DamagedPart, NewerFormat, VideoNotStored
from store.feature_set import FeatureSet
from store.features import FeatureStore
from store.format.fingerprint import canonical_json

FIRST, SECOND = ["a1", "a2", "a3"], ["b1", "b2", "b3"]


@pytest.fixture
def features(tmp_path: Path) -> FeatureSet:
    """Two parts: FIRST and SECOND."""
    written = feature_set(tmp_path)
    write(written, FIRST, chunk_bytes=200)
    write(written, SECOND)
    return feature_set(tmp_path)


def _part(features: FeatureSet, video: str) -> Path:
    return features.path / features.part_of(video)


def _marker(features: FeatureSet, video: str) -> Path:
    return marker_of(features, video)


def _chunk(features: FeatureSet, video: str, stream: str = "spatial", number: int = 0) -> Path:
    return next(_part(features, video).glob(f"{stream}/c.{number}.*"))


def test_a_part_without_its_marker_does_not_exist(features: FeatureSet) -> None:
    _marker(features, "a1").unlink()
    features.refresh()
    assert features.videos() == SECOND
    with pytest.raises(VideoNotStored):
        features.read("a1", "spatial")
    assert_holds(features, SECOND)


@pytest.mark.parametrize("how", ["truncate", "delete chunk", "delete part"])
def test_missing_and_short_files_are_named_and_other_parts_stay_readable(
    features: FeatureSet, how: str
) -> None:
    chunk = _chunk(features, "b1")
    if how == "truncate":
        chunk.write_bytes(chunk.read_bytes()[:-1])
    elif how == "delete chunk":
        chunk.unlink()
    else:
        _part(features, "b1").rename(features.path / "elsewhere")
    with pytest.raises(DamagedPart, match=str(chunk)):
        features.read("b3", "spatial")
    assert_holds(features, FIRST)
    damages = verify(features)
    assert {damage.part for damage in damages} == {features.part_of("b1")}
    assert ("b3", "spatial") in {(damage.video, damage.stream) for damage in damages}


def test_verify_names_the_one_video_whose_bytes_changed(features: FeatureSet) -> None:
    assert verify(features) == []
    chunk = _chunk(features, "b1", "temporal")
    data = bytearray(chunk.read_bytes())
    data[features.length("b1", "temporal") * 7 * 2] ^= 1  # the lowest bit of b2's first value
    chunk.write_bytes(data)
    (damage,) = verify(features)
    assert (damage.part, damage.video, damage.stream) == (features.part_of("b2"), "b2", "temporal")
    assert "crc32c" in damage.reason


def test_verify_can_take_a_sample(features: FeatureSet) -> None:
    _chunk(features, "a1").unlink()
    _chunk(features, "b1").unlink()
    assert len({damage.video for damage in verify(features, sample=2)}) <= 2
    assert len({damage.video for damage in verify(features, sample=99)}) > 2


def test_verify_checks_what_other_zarr_tools_go_by(features: FeatureSet) -> None:
    file = _part(features, "a1") / "spatial" / "zarr.json"
    metadata = json.loads(file.read_text())
    metadata["shape"][0] += 1
    file.write_text(json.dumps(metadata))
    (damage,) = verify(features)
    assert damage.stream == "spatial" and str(file) in damage.reason


def _rename_video(content: dict[str, Any]) -> None:
    content["videos"][0] = "somebody"


def _shift(content: dict[str, Any]) -> None:
    content["streams"]["spatial"]["offsets"][1] += 1


def _list_twice(content: dict[str, Any]) -> None:
    content["videos"][1] = content["videos"][0]


def _lead_elsewhere(content: dict[str, Any]) -> None:
    content["streams"]["../../etc"] = content["streams"].pop("spatial")


def _lead_out(content: dict[str, Any]) -> None:
    content["part"] = f"../{content['part']}"


def _forget_streams(content: dict[str, Any]) -> None:
    del content["streams"]


def _edit(marker: Path, edit: Callable[[dict[str, Any]], None], seal: bool) -> None:
    """Change a marker; `seal` gives it the right checksum again."""
    content = json.loads(marker.read_text())
    edit(content)
    if seal:
        sealed = {name: value for name, value in content.items() if name not in ("format", "crc32c")}
        content["crc32c"] = google_crc32c.value(canonical_json(sealed).encode())
    marker.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("edit", "seal", "message"),
    [
        (_rename_video, False, "its checksum differs"),
        (_shift, False, "its checksum differs"),
        (_shift, True, "offsets that do not follow from its lengths"),
        (_list_twice, True, "listed twice"),
        (_forget_streams, True, "streams"),
        (_lead_elsewhere, True, "stream '../../etc'"),
        (_lead_out, True, "it describes '../parts-"),
    ],
)
def test_an_edited_marker_hides_its_part_and_says_so(
    features: FeatureSet,
    edit: Callable[[dict[str, Any]], None],
    seal: bool,
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    marker = _marker(features, "a1")
    _edit(marker, edit, seal)
    again = feature_set(features.path.parents[1])
    assert again.videos() == SECOND
    assert str(marker) in caplog.text and message in caplog.text
    with pytest.raises(VideoNotStored, match="1 damaged marker may hide it"):
        again.read("a1", "spatial")
    assert [damage.part for damage in verify(again)] == [str(marker.relative_to(again.path))]
    assert_holds(again, SECOND)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "\x00\xff", '{"format": 1, "crc32c": NaN}'])
def test_a_marker_that_is_no_marker_is_reported(features: FeatureSet, text: str) -> None:
    marker = _marker(features, "a1")
    marker.write_bytes(text.encode("latin-1"))
    again = feature_set(features.path.parents[1])
    assert again.videos() == SECOND
    assert verify(again)[0].part == str(marker.relative_to(again.path))


def test_a_part_with_other_streams_than_the_first_is_reported(features: FeatureSet, tmp_path: Path) -> None:
    other = FeatureStore(tmp_path / "other").feature_set("demo", "random", features.specification)
    with other.writer() as writer:
        writer.add("c1", {"x": np.ones((1, 2), np.float32)})
    for path in other.path.glob("parts-*/part-*"):
        path.rename(features.path / "parts-00000" / path.name)
    again = feature_set(features.path.parents[1])
    (damage,) = verify(again)
    assert "x [2] float32; the other parts have spatial [3, 5] float32" in damage.reason
    assert again.videos() == FIRST + SECOND


def test_a_newer_format_asks_for_a_newer_program(features: FeatureSet) -> None:
    marker = _marker(features, "a1")
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"format": 2}))
    with pytest.raises(NewerFormat, match=f"{marker.name} has format 2.*update"):
        feature_set(features.path.parents[1]).videos()


def test_a_newer_feature_json_asks_for_a_newer_program(features: FeatureSet) -> None:
    file = features.path / "feature.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 9}))
    with pytest.raises(NewerFormat, match=r"feature\.json has format 9"):
        FeatureStore(features.path.parents[1]).find("demo", "random")


def test_a_specification_that_is_not_that_of_the_key_is_refused(features: FeatureSet) -> None:
    store = FeatureStore(features.path.parents[1])
    file = features.path / "feature.json"
    description = json.loads(file.read_text())
    description["specification"]["seed"] = 1
    file.write_text(json.dumps(description))
    with pytest.raises(DamagedFeatureSet, match="changed by hand"):
        store.find("demo", "random")
    file.write_text("{")
    with pytest.raises(DamagedFeatureSet, match="cannot be read"):
        store.feature_set("demo", "random", features.specification)


def test_a_marker_that_could_not_be_read_for_a_moment_is_read_again_and_never_set_aside(
    tmp_path: Path,
) -> None:
    write(feature_set(tmp_path), ["first"])
    reader = feature_set(tmp_path)
    assert reader.videos() == ["first"]
    write(feature_set(tmp_path), ["second"])
    marker = marker_of(feature_set(tmp_path), "second")
    aside = marker.rename(tmp_path / "aside")
    marker.mkdir()  # reading it fails as a disk may fail: by an OSError
    reader.refresh()
    damages = verify(reader)
    assert reader.videos() == ["first"] and len(damages) == 1
    assert "repair" not in damages[0].reason
    marker.rmdir()
    aside.rename(marker)
    done = repair(reader, damages)
    assert reader.videos() == ["first", "second"]
    assert (done.set_aside, done.dropped) == ([], [])
    assert verify(feature_set(tmp_path)) == []
