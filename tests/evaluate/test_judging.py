"""Judging open answers: an endpoint that speaks as OpenAI's does, a local model, what is kept."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tiny_language import quality_tasks, small_decoder, task_texts
from typer.testing import CliRunner

from demo.decoder_tokenizer import build_tokenizer
from evaluate.__main__ import app
from evaluate.errors import JudgeError
from evaluate.questions.judges import Endpoint, LocalJudge
from evaluate.questions.judging import judge_all, mark_in, prompt_version, read_answers


class Server:
    """Answers of chat completions: the statuses in order, then 200; marks by what the answer says."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append(body)
                server.keys.append(self.headers["Authorization"])
                status = server.statuses.pop(0) if server.statuses else 200
                text = body["messages"][-1]["content"]
                mark = (
                    "2"
                    if "Answer: sharp" in text
                    else f"Score: {body['seed'] % 2}."
                    if "half" in text
                    else "?"
                )
                reply = json.dumps(
                    {"choices": [{"message": {"content": mark}}]} if status == 200 else {"error": 1}
                )
                self.send_response(status)
                self.end_headers()
                self.wfile.write(reply.encode())

            def log_message(self, *_: Any) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1/"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def exported(folder: Path, *responses: str) -> Path:
    records = [
        {
            "number": 9 * n,
            "question": "How?",
            "reference": "sharp",
            "response": response,
            "categories": {"type": ["x"]},
        }
        for n, response in enumerate(responses, start=1)
    ]
    (folder / "open.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder / "open.jsonl"


def test_an_endpoint_judges_each_answer_five_times(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "secret")
    file = exported(tmp_path, "sharp", "half", "neither")
    command = [
        "judge",
        str(file),
        "--endpoint",
        server.url,
        "--model",
        "m",
        "--key-variable",
        "JUDGE_KEY",
        "--json",
    ]
    found = json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout)
    assert len(server.asked) == 15 and {body["seed"] for body in server.asked} == {1, 2, 3, 4, 5}
    assert set(server.keys) == {"Bearer secret"}
    assert found["judge"] == f"m at {server.url}" and found["prompt"] == prompt_version()
    assert (found["answers"], found["judged"], found["repeats"], found["without_mark"]) == (3, 2, 5, 5)
    assert found["score"] == pytest.approx((1 + 3 / 5 / 2) / 2)
    assert found["categories"] == {"type": {"x": pytest.approx(found["score"])}}
    again = json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout)
    assert again == found and len(server.asked) == 15
    shown = CliRunner().invoke(app, command[:-1], catch_exceptions=False).stdout
    assert "2 of 3 answers, 5 times each: score 0.650" in shown


def test_what_was_judged_stays_when_the_endpoint_fails(server: Server, tmp_path: Path) -> None:
    file = exported(tmp_path, "sharp", "half")
    judge = Endpoint(server.url, "m", temperature=0.5)
    judge.wait_seconds = 0.0
    server.statuses = [503, 429, 200, 401]
    with pytest.raises(JudgeError, match="status 401"):
        list(judge_all(file, judge, repeats=2))
    with (tmp_path / "open.judged.jsonl").open("a") as broken:
        broken.write('{"judge": "m at')
    asked = len(server.asked)
    assert [each.mark for each in judge_all(file, judge, repeats=2)] == [2, 2, 1, 0]
    assert len(server.asked) - asked == 3 and server.asked[-1]["temperature"] == 0.5
    server.statuses = [500] * 4
    with pytest.raises(JudgeError, match="status 500"):
        judge("", "", 1)
    with pytest.raises(JudgeError, match="refused"):
        unreachable = Endpoint("http://127.0.0.1:9/v1", "m")
        unreachable.wait_seconds = 0.0
        unreachable("", "", 1)
    with pytest.raises(JudgeError, match="localhost:8000: expected a URL"):
        Endpoint("localhost:8000", "m")


def test_a_local_model_judges(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(task_texts(quality_tasks()))
    tokenizer.save_pretrained(tmp_path / "judge")
    small_decoder(len(tokenizer)).save_pretrained(tmp_path / "judge")
    judge = LocalJudge(str(tmp_path / "judge"), "cpu")
    assert judge("a", "b", 1) == judge("a", "b", 1) and "judge (transformers)" in judge.name
    assert len({judge("a", "b", repeat) for repeat in range(4)}) > 1
    greedy = LocalJudge(str(tmp_path / "judge"), "cpu", temperature=0.0)
    assert greedy("a", "b", 1) == greedy("a", "b", 2)
    with pytest.raises(JudgeError, match="cannot be loaded as a language model"):
        LocalJudge(str(tmp_path), "cpu")


@pytest.mark.parametrize(
    ("written", "mark"),
    [("2", 2), ("Score: 1.", 1), ("**0**", 0), ("10", None), ("1.5", None), ("two", None), ("Mark: 2/2", 2)],
)
def test_marks_are_numbers_that_stand_alone(written: str, mark: int | None) -> None:
    assert mark_in(written) == mark


def test_a_file_that_is_no_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"number": 1, "question": "How?"}\n')
    with pytest.raises(JudgeError, match=r"a\.jsonl, line 1: expected an answer with number, question"):
        read_answers(tmp_path / "a.jsonl")
