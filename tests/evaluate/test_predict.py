"""Scores of video files by the embedded model: curves, batches that are stopped, what is printed."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame
from small_videos import encode
from typer.testing import CliRunner

from distort.coding import TRANSPARENT_CRF, write_footage
from distort.degrade import CRF, blurred, noisy
from distort.footage import Footage, read_footage
from evaluate import Scorer
from evaluate.__main__ import app
from evaluate.errors import StretchError, TimeError
from evaluate.predicting.curve import Windows
from evaluate.predicting.formats import as_csv, as_json_line, as_table, clock
from evaluate.predicting.scorer import Asked
from evaluate.predicting.scores import Moment, VideoScore, video_score
from evaluate.predicting.times import length_of, seconds_of
from evaluate.watching.watcher import Watcher
from extract.errors import UnreadableVideo
from train.errors import RunError
from train.inference.predict import Prediction


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(device="cpu")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four files: of 3, 2 and 4 seconds, and one that is none."""
    folder = tmp_path_factory.mktemp("clips")
    files = [
        encode(folder / f"{n}.mp4", frames=frames, rate=10, size=(96, 128))
        for n, frames in enumerate((30, 20, 40))
    ]
    (folder / "broken.mp4").write_bytes(b"no video")
    return [files[0], folder / "broken.mp4", *files[1:]]


def in_order(found: Iterator[tuple[int, VideoScore]]) -> list[VideoScore]:
    return [one for _, one in sorted(found, key=lambda each: each[0])]


@pytest.fixture(scope="module")
def whole(scorer: Scorer, clips: list[Path]) -> list[VideoScore]:
    return in_order(scorer.score_all(clips, Asked(windows=Windows())))


def test_a_score_has_an_interval_a_curve_and_a_scale_of_its_own(
    scorer: Scorer, clips: list[Path], whole: list[VideoScore]
) -> None:
    one = whole[0]
    assert one.score is not None and one.std is not None and one.low is not None and one.high is not None
    assert one.low == pytest.approx(max(0, one.score - 1.2816 * one.std), abs=0.02)
    assert one.high == pytest.approx(min(100, one.score + 1.2816 * one.std), abs=0.02)
    assert [(each.start, each.end) for each in one.curve] == [(0, 1), (1, 2), (2, 3)]
    assert one.worst == min(one.curve, key=lambda each: each.score) and one.seconds == 3
    assert scorer.score(clips[0], per_second=True) == one
    assert VideoScore.of_json(json.loads(as_json_line(one))) == one
    assert whole[1].error and whole[1].score is None and whole[1].curve == ()
    with pytest.raises(UnreadableVideo):
        scorer.score(clips[1])


def test_a_stretch_is_scored_as_the_file_of_its_seconds_would_be(scorer: Scorer, clips: list[Path]) -> None:
    part = scorer.score(clips[3], start=1, end=3, windows=Windows(0.5, 0.5))
    assert part.std != scorer.score(clips[3]).std  # two seconds of four
    assert [each.start for each in part.curve] == [1, 1.5, 2, 2.5]
    assert (
        scorer.score(clips[3], start=2, end=3).score == scorer.score(clips[3], per_second=True).curve[2].score
    )
    with pytest.raises(StretchError, match=r"is 4\.0 s long: it has no stretch from 9 s on"):
        scorer.score(clips[3], start=9)
    (row,) = in_order(scorer.score_all([clips[3]], Asked(start=9)))
    assert row.score is None and row.error == "is 4.0 s long: it has no stretch from 9 s on"


@pytest.mark.parametrize(
    ("windows", "end", "expected"),
    [
        (Windows(), 3.0, [(0, 1), (1, 2), (2, 3)]),
        (Windows(), 2.97, [(0, 1), (1, 2), (2, 2.97)]),
        (Windows(2, 1), 4.0, [(0, 2), (1, 3), (2, 4)]),
        (Windows(2, 3), 6.0, [(0, 2), (3, 5)]),
        (Windows(4, 4), 3.0, [(0, 3)]),
    ],
)
def test_windows_are_those_that_fit(
    windows: Windows, end: float, expected: list[tuple[float, float]]
) -> None:
    assert list(windows.within(0.0, end)) == expected


def test_worker_processes_change_nothing(scorer: Scorer, clips: list[Path], whole: list[VideoScore]) -> None:
    assert in_order(scorer.score_all(clips, Asked(windows=Windows()), workers=2)) == whole


@pytest.mark.parametrize("stopped_after", [pytest.param(n, marks=pytest.mark.slow) for n in (1, 3)] + [2])
def test_a_batch_that_was_stopped_goes_on_where_it_was(
    scorer: Scorer,
    clips: list[Path],
    whole: list[VideoScore],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped_after: int,
) -> None:
    asked, keep = Asked(windows=Windows()), tmp_path / "kept.jsonl"
    stopped = scorer.score_all(clips, asked, keep=keep)
    for _ in range(stopped_after):
        next(stopped)
    stopped.close()
    keep.write_bytes(keep.read_bytes() + b'{"key": "half a li')
    watched = []
    watch_all = Watcher.watch_all

    def noted(self: Watcher, videos: Any, workers: int = 0) -> Any:
        watched.extend(videos)
        return watch_all(self, videos, workers)

    monkeypatch.setattr(Watcher, "watch_all", noted)
    assert in_order(scorer.score_all(clips, asked, keep=keep)) == whole
    assert watched == [clips[1], *clips[max(2, stopped_after) :]]
    watched.clear()
    clips[0].touch()
    assert in_order(scorer.score_all(clips, asked, keep=keep)) == whole
    assert watched == [clips[0], clips[1]]  # a file that was written anew; one that has no score
    watched.clear()
    in_order(scorer.score_all(clips[2:], Asked(), keep=keep))
    assert watched == clips[2:]  # other things were asked


def test_names_of_any_bytes_are_kept_and_text_is_a_path(
    scorer: Scorer, clips: list[Path], tmp_path: Path
) -> None:
    named = tmp_path / "\udcb2\udce2.mp4"
    named.symlink_to(clips[2])
    keep = tmp_path / "kept.jsonl"
    (first,) = in_order(scorer.score_all([str(named)], keep=keep))
    assert first.error is None and in_order(scorer.score_all([named], keep=keep)) == [first]
    assert r"\udcb2\udce2.mp4" in as_table([first])


@pytest.mark.parametrize("text", ["[\n  {\n", "video,score\n", '{"video": "a"}\n'])
def test_a_file_of_something_else_is_left_as_it_is(
    scorer: Scorer, clips: list[Path], tmp_path: Path, text: str
) -> None:
    (tmp_path / "mine").write_text(text)
    with pytest.raises(RunError, match=r"mine: expected scores that were kept, .* line 1 is something else"):
        next(scorer.score_all(clips, keep=tmp_path / "mine"))
    assert (tmp_path / "mine").read_text() == text
    with pytest.raises(RunError, match="cannot be read as scores that were kept"):
        next(scorer.score_all(clips, keep=tmp_path))


@pytest.mark.parametrize(
    "options", [("--json", "--csv"), ("--per-second", "--window", "4"), ("--start", "soon")]
)
def test_options_that_cannot_be_are_refused_before_anything_is_loaded(options: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["predict", "absent.mp4", *options]).exit_code == 2


def test_the_command_prints_a_table_or_lines_and_exits_with_status_1(
    clips: list[Path], whole: list[VideoScore], tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("\n".join(map(str, clips[2:])))
    places = [f"{clips[0].parent}/0*.mp4", str(clips[1]), "-"]
    result = CliRunner().invoke(
        app, ["predict", *places, "--per-second", "--jsonl"], input=f"{tmp_path / 'list.txt'}\n"
    )
    assert result.exit_code == 1
    assert [VideoScore.of_json(json.loads(line)) for line in result.stdout.splitlines()] == whole
    assert f"{clips[1]}: {whole[1].error}" in result.stderr


def test_a_row_has_the_same_names_in_all_formats() -> None:
    worst = Moment(62.5, 64, 40.0)
    fine = VideoScore("a.mp4", 50.0, 10.0, 37.18, 62.82, 3.0, "fair", "50", None, 75.5, (worst,), worst)
    fine = replace(fine, answers={"score": 50.0}, warnings=("one", "two"))
    bad = VideoScore("b\n.mp4", error="no such file")
    names = ["video", "score", "std", "low", "high", "mos", "level", "text", "distance", "seconds"]
    names += ["curve", "worst", "answers", "warnings", "error"]
    assert list(fine.as_json()) == names
    rows = list(csv.DictReader(io.StringIO(as_csv([fine, bad]))))
    assert list(rows[0]) == names and rows[0]["warnings"] == "one; two" and rows[1]["score"] == ""
    assert json.loads(rows[0]["curve"]) == [{"start": 62.5, "end": 64, "score": 40.0}]
    table = as_table([fine, bad]).splitlines()
    assert "37–63" in table[2] and r"b\n.mp4" in table[3] and table[4:6] == ["a.mp4: one", "a.mp4: two"]
    assert table[6] == "a.mp4: ▄  worst 40.0 at 1:02.5, best 40.0 at 1:02.5"
    assert [clock(t) for t in (0, 4, 59.96, 3723.5)] == ["0:00", "0:04", "1:00", "1:02:03.5"]


def test_what_a_run_does_not_say_is_left_out(scorer: Scorer) -> None:
    nothing = Prediction(None, None, "good", None, None, None)
    found = video_score("a", nothing, scorer.trained.settings.dataset, 1.0)
    assert (found.score, found.low, found.mos, found.level) == (None, None, None, "good")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5 s", 1.5), (".5", 0.5), ("1:30", 90), ("1:02:03.5", 3723.5)]
)
def test_times_are_read_as_they_are_written(text: str, seconds: float) -> None:
    assert seconds_of(text, "--start") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3", "1:2:3:4", "nan"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(TimeError, match=r"--start .*: expected seconds or a clock's time"):
        seconds_of(text, "--start")


def test_a_window_lasts() -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        Windows(1.0, 0.0)
    assert length_of("0:00.5", "--window") == 0.5
    with pytest.raises(TimeError, match=r"--window 0:00: expected more than 0 seconds"):
        length_of("0:00", "--window")


def worse(footage: Footage, kind: str, folder: Path) -> list[VideoFrame]:
    """The frames with those of the middle third as bad as the kind makes them."""
    third = len(footage.frames) // 3
    middle, times = footage.frames[third : 2 * third], footage.times[:third]
    if kind == "crf":
        changed = read_footage(write_footage(folder / "middle.mp4", middle, times, CRF[-1]), 60, 9999).frames
    elif kind == "freeze":
        changed = [middle[0]] * third
    else:
        changed = list(blurred(middle, 5.0) if kind == "blur" else noisy(middle, 24.0, 0))
    return [*footage.frames[:third], *changed, *footage.frames[2 * third :]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["crf", "blur", "noise", "freeze"])
def test_the_curve_of_a_real_video_dips_where_it_was_degraded(
    scorer: Scorer, shared_data: Path, tmp_path: Path, kind: str
) -> None:
    footage = read_footage(shared_data / "videos" / "10053703034.mp4", 6, 540)
    path = tmp_path / "dips.mp4"
    write_footage(path, worse(footage, kind, tmp_path), footage.times, TRANSPARENT_CRF)
    scores = np.array([each.score for each in scorer.score(path, per_second=True).curve])
    assert len(scores) == 6
    middle, rest = scores[2:4], np.delete(scores, [2, 3])
    assert middle.mean() < rest.mean() - 2 and int(scores.argmin()) in (2, 3)
