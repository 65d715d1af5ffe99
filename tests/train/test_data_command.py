"""`python -m train data`."""

import json
from pathlib import Path

import pytest
from training_set import ROOT
from typer.testing import CliRunner

from store.labels.conversations import read_conversations
from train.__main__ import app


def test_the_report_says_of_each_record_whether_it_is_used(shared_data: Path) -> None:
    for file, records in (
        ("vital/vital_lsvq_train_sample10pct.jsonl", 2805),
        ("finevq/abcd_train_en.jsonl", 2573),
    ):
        path = shared_data / "conversations" / file
        found = json.loads(CliRunner().invoke(app, ["data", "check", str(path), "--json"]).output)
        assert found == {"records": records, "used": records, "reported": []}
    path = shared_data / "conversations" / "qbench-video" / "qbvideo_dev_single.json"
    found = json.loads(CliRunner().invoke(app, ["data", "check", str(path), "--json"]).output)
    assert (found["records"], found["used"], len(found["reported"])) == (892, 0, 892)
    assert (
        found["reported"][1]["line"] == 18
        and "`python -m evaluate questions`" in found["reported"][1]["reason"]
    )


def test_the_report_is_text_without_json(tmp_path: Path) -> None:
    good = {"video": "a.mp4", "conversations": [{"from": "human", "value": "?"}, {"from": "ai", "value": 3}]}
    (tmp_path / "c.jsonl").write_text(f"{json.dumps(good)}\n{{\n{json.dumps({**good, 'video': None})}\n")
    lines = CliRunner().invoke(app, ["data", "check", str(tmp_path / "c.jsonl")]).output.splitlines()
    assert lines[0].endswith("c.jsonl: 3 records, 1 used, 2 not")
    assert (
        lines[1].startswith("  line 2: cannot be read as JSON: ")
        and lines[2] == "  line 3: names no video or image"
    )
    with pytest.raises(Exception, match=r"absent\.json does not exist"):
        CliRunner().invoke(app, ["data", "check", "absent.json"], catch_exceptions=False)


def test_conversations_are_made_from_scores_alone(tmp_path: Path) -> None:
    mos = {f"v/{n}.mp4": 1 + n / 5 for n in range(20)}
    rows = "".join(f"{video},{score},train\n" for video, score in mos.items())
    (tmp_path / "labels.csv").write_text(f"video,mos,split\n{rows}odd.mp4,5,test\n")
    own = f'{{ videos = "{tmp_path}", labels = "{tmp_path / "labels.csv"}", mos_range = [1, 5],'
    own += ' validation_share = 0.0, source = "x" }'
    command = [
        "data",
        "make",
        "own",
        str(tmp_path / "made.jsonl"),
        "--task",
        "score",
        "--task",
        "rating",
        "--json",
    ]
    sets = [f"--config={ROOT / 'pipelines.toml'}", f"--set=datasets.own={own}", "--pairs=30", "--seed=4"]
    result = CliRunner().invoke(app, [*command, *sets], catch_exceptions=False)
    assert json.loads(result.output)["records"] == 70
    first = (tmp_path / "made.jsonl").read_bytes()
    found = read_conversations(tmp_path / "made.jsonl")
    assert (len(found.used), found.reported) == (70, [])
    single, pairs = found.used[:40], found.used[40:]
    assert {each.media for each in single} == {(video,) for video in mos}
    assert single[0].turns[-1].parts == ("The quality score is 0",)
    assert single[39].turns[-1].parts == ("The quality of the video is excellent",)
    assert len({each.media for each in pairs}) == 30
    for each in pairs:
        one, other = (mos[name] for name in each.media)
        assert abs(one - other) >= 0.2 - 1e-9
        assert each.turns[-1].parts == (f"The {'first' if one > other else 'second'} video.",)
    CliRunner().invoke(app, [*command, *sets], catch_exceptions=False)
    assert (tmp_path / "made.jsonl").read_bytes() == first
