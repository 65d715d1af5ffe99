"""`python -m train data`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

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
