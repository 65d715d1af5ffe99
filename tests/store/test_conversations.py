"""Conversations in the layouts in which people pass them around: each record is used, or reported by line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from config.schema import DatasetSettings
from store.labels.conversations import Dialogue, Slot, read_conversations
from store.labels.errors import LabelLayoutError, LabelsMissingError
from store.labels.shown import conversations_of

RECORDS = {
    "finevq/abcd_train_en.jsonl": (2573, 2573),
    "finevq/livevqc_train_mos1.jsonl": (468, 468),
    "q-align/train_koniq.json": (7046, 7046),
    "qbench-video/qbvideo_dev_single.json": (892, 0),
    "vital/vital_lsvq_train_sample10pct.jsonl": (2805, 2805),
}


def record(
    *values: Any, media: Any = "a.mp4", key: str = "video", roles: Sequence[str] = ()
) -> dict[str, Any]:
    roles = roles or [("human", "gpt")[number % 2] for number in range(len(values))]
    turns = [{"from": role, "value": value} for role, value in zip(roles, values, strict=True)]
    return {"id": 7, key: media, "conversations": turns}


def only(tmp_path: Path, entry: Any) -> Dialogue:
    found = read_conversations(written(tmp_path, [entry]))
    assert (len(found.used), found.reported) == (1, [])
    return found.used[0]


def refused(tmp_path: Path, entry: Any) -> str:
    found = read_conversations(written(tmp_path, [entry]))
    assert found.used == [] and found.reported[0].line == 1
    return found.reported[0].reason


def written(folder: Path, records: Sequence[Any], name: str = "c.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(json.dumps(each) for each in records), encoding="utf-8")
    return path


@pytest.mark.parametrize("file", RECORDS)
def test_each_record_of_the_real_files_is_used_or_reported(shared_data: Path, file: str) -> None:
    path = shared_data / "conversations" / file
    found = read_conversations(path)
    assert (found.records, len(found.used)) == RECORDS[file]
    lines = [each.line for each in (*found.used, *found.reported)]
    assert lines == sorted(set(lines))
    text = path.read_text("utf-8").split("\n")
    assert all(text[line - 1].lstrip().startswith("{") for line in lines)
    for each in found.used:
        slots = [part for turn in each.turns for part in turn.parts if isinstance(part, Slot)]
        assert slots == [Slot(0)]
        assert [turn.role for turn in each.turns] == ["user", "assistant"]
        assert "<" not in str(each.turns).replace("Slot(", "") and "\ufeff" not in str(each)
    assert {each.reason for each in found.reported} <= {
        "is a question with options, as Q-Bench-Video's: `python -m evaluate questions` asks it"
    }


def test_numbers_are_texts_and_byte_order_marks_go(tmp_path: Path) -> None:
    entry = record("\ufeffRate it.", 3.808491, media=["\ufeffv/a.mp4"])
    (tmp_path / "c.jsonl").write_text(f"\ufeff{json.dumps(entry)}\n\n\ufeff{json.dumps(entry)}\n", "utf-8")
    first, second = read_conversations(tmp_path / "c.jsonl").used
    assert (first.line, second.line) == (1, 3)
    assert (first.media, first.turns[1].parts) == (("v/a.mp4",), ("3.808491",))
    assert first.turns[0].parts == (Slot(0), "\n", "Rate it.")
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "c.json").write_text(json.dumps({"version": "é", "data": [entry]}), encoding)
        assert read_conversations(tmp_path / "c.json").used == [first]


@pytest.mark.parametrize("mark", ["<image>", "<video>", "<|image|>", "<|video|>"])
def test_media_stand_where_their_slots_are(tmp_path: Path, mark: str) -> None:
    found = only(tmp_path, record(f"First {mark}, then\n{mark}", "the first", media=["a.mp4", "b.mp4"]))
    assert found.turns[0].parts == ("First ", Slot(0), ", then\n", Slot(1))
    later = only(tmp_path, record("Hello.", "Hello.", f"{mark}What is this?", "Noise."))
    assert (later.turns[0].parts, later.turns[2].parts) == (("Hello.",), (Slot(0), "What is this?"))


def test_slots_for_pictures_and_videos_take_their_own_kind(tmp_path: Path) -> None:
    entry = record("<video> and <image>: which is better?", "the video")
    entry["image"] = "b.png"
    assert only(tmp_path, {**entry, "video": "a.mp4"}).turns[0].parts[::2] == (Slot(0), Slot(1))
    swapped = {"image": "b.png", **{key: value for key, value in entry.items() if key != "image"}}
    assert only(tmp_path, swapped).turns[0].parts[::2] == (Slot(1), Slot(0))


def test_a_video_of_vqa2_has_two_slots_for_its_parts(tmp_path: Path) -> None:
    asked = "Key frames:\n<image>. Motion:\n<image>. Which distortion does it show?"
    found = only(tmp_path, {**record(asked, "Blur", key="image"), "frames per sec": 30})
    assert found.turns[0].parts[1::2] == (Slot(0, 0, 2), Slot(0, 1, 2))
    assert found.media == ("a.mp4",)


def test_roles_are_named_as_people_name_them_and_a_first_answer_is_left_out(tmp_path: Path) -> None:
    roles = ["system", "human", "ai", "user", "assistant", "Human", "GPT"]
    said = ["Be brief.", "<image>?", "a", "b?", "b", "c?", "c"]
    found = only(tmp_path, record(*said, roles=roles))
    assert [turn.role for turn in found.turns] == ["system", *["user", "assistant"] * 3]
    started = only(tmp_path, record("dropped", "<image><image>", "good", roles=["gpt", "human", "gpt"]))
    assert [turn.role for turn in started.turns] == ["user", "assistant"]
    messages = {
        "video": "a.mp4",
        "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": 1}],
    }
    assert only(tmp_path, messages).turns[1].parts == ("1",)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ([1], "is [1], expected an object with `conversations`"),
        ({"video": "a.mp4"}, "has no `conversations`; it has: video"),
        (record("?", "a", media=[]), "names no video or image"),
        (record("?", "a", media=None), "names no video or image"),
        (record("?", "a", media=" "), "`video` is ' ', expected the name of a file, or a list of them"),
        (
            record("?", "a", media=["a.mp4", 3]),
            "`video` is ['a.mp4', 3], expected the name of a file, or a list of them",
        ),
        (
            record("?", "a", media={"bytes": "…", "path": None}),
            "holds its video itself: expected the name of a file",
        ),
        (record("?"), "ends with a question that has no answer"),
        (record("?", "a", "?"), "ends with a question that has no answer"),
        (record("a", roles=["gpt"]), "has no question with an answer"),
        (
            record("?", "?", "a", roles=["human", "human", "gpt"]),
            "turn 2 is the user's, expected the assistant's",
        ),
        (record("?", "a", roles=["human", "function"]), "turn 2 is from 'function', expected system, human,"),
        (record("?", None), "turn 2 says None, expected text or a number"),
        (record("?", True), "turn 2 says True, expected text or a number"),
        (record("?", float("nan")), "turn 2 says nan, expected text or a number"),
        (record("?", " \n"), "turn 2: the answer is empty"),
        (record("?", "see <image>"), "answer 1 has a slot for a medium, expected slots in questions alone"),
        (
            record("<image><image><image>", "a"),
            "has 3 slots for 1 media: expected none, one for each, or two",
        ),
        (
            record("<image>", "a", media=["a.mp4", "b.mp4"]),
            "has 1 slots for 2 media: expected none, one for each,",
        ),
        (record("<|media-tokens-go-here|>", "a"), "turn 1 has '<|media-tokens-go-here|>', which stands for"),
    ],
)
def test_what_cannot_be_used_is_reported(tmp_path: Path, entry: Any, reason: str) -> None:
    assert refused(tmp_path, entry).startswith(reason)


def test_broken_lines_are_reported_and_broken_lists_refused(tmp_path: Path) -> None:
    good = json.dumps(record("?", "a"))
    (tmp_path / "c.jsonl").write_text(f"{good}\n{good[:-3]}\n{'[' * 100_000}\n{good}\n")
    found = read_conversations(tmp_path / "c.jsonl")
    assert [each.line for each in found.used] == [1, 4]
    assert [each.line for each in found.reported] == [2, 3]
    assert all(each.reason.startswith("cannot be read as JSON: ") for each in found.reported)
    for text in (
        f"[\n{good},\n{good[:-3]}]",
        f"[{good},\n{good}",
        f"[{good}\n\n{good}]",
        f'{{"data": [\n{good}',
    ):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(
            LabelLayoutError, match=r"c\.json, the record on line [123] cannot be read as JSON"
        ):
            read_conversations(tmp_path / "c.json")
    (tmp_path / "c.json").write_text(f"{good}\n{good}\n")  # lines, whatever the file's name says
    assert [each.line for each in read_conversations(tmp_path / "c.json").used] == [1, 2]
    (tmp_path / "c.json").write_text(" \n")
    with pytest.raises(LabelLayoutError, match="is empty: expected a list of records"):
        read_conversations(tmp_path / "c.json")
    (tmp_path / "c.json").write_bytes(b"[\xff]")
    with pytest.raises(LabelLayoutError, match="is no text in UTF-8 or UTF-16"):
        read_conversations(tmp_path / "c.json")
    with pytest.raises(LabelsMissingError, match="absent does not exist"):
        read_conversations(tmp_path / "absent")


def test_a_hugging_face_dataset_on_disk_is_read_by_its_rows(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="pip install '.[datasets]' has what reads them")
    rows = [record("<image>?", "blur"), record("?"), record("<image>?", "noise", media="b.mp4")]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "one")
    found = read_conversations(tmp_path / "one")
    assert [(each.line, each.media) for each in found.used] == [(1, ("a.mp4",)), (3, ("b.mp4",))]
    assert [(each.line, each.reason) for each in found.reported] == [
        (2, "ends with a question that has no answer")
    ]
    datasets.DatasetDict({"train": datasets.Dataset.from_list(rows)}).save_to_disk(tmp_path / "several")
    with pytest.raises(LabelLayoutError, match=r"several holds a dataset for each of train: name the folder"):
        read_conversations(tmp_path / "several")
    (tmp_path / "none").mkdir()
    with pytest.raises(LabelLayoutError, match="none cannot be read as a Hugging Face dataset on disk"):
        read_conversations(tmp_path / "none")


def dataset(folder: Path, **texts: str) -> DatasetSettings:
    """Whose split's conversations are these."""
    labels = {split: folder / f"{split}.jsonl" for split in texts}
    for split, text in texts.items():
        labels[split].write_text(text)
    return DatasetSettings(name="talks", videos=folder, labels=labels, conversations=True, source="made here")


def test_splits_other_than_train_may_be_empty(tmp_path: Path) -> None:
    good = json.dumps(record("?", "a"))
    found = conversations_of(dataset(tmp_path, train=good, val="", test="\n\n"))
    assert {split: own.records for split, own in found.items()} == {"train": 1, "val": 0, "test": 0}
    assert found["val"].as_json() == {"records": 0, "used": 0, "reported": []}
    with pytest.raises(LabelLayoutError, match=r"training\.jsonl has no conversations, .* from: made here"):
        conversations_of(dataset(tmp_path, training="", val=good))
    with pytest.raises(LabelLayoutError, match=r"val\.jsonl, .*test\.jsonl has no conversations"):
        conversations_of(dataset(tmp_path, val="", test=""))
    with pytest.raises(LabelLayoutError, match=r"val\.jsonl: none of 1 records can be used: line 1 ends"):
        conversations_of(dataset(tmp_path, train=good, val=json.dumps(record("?"))))
