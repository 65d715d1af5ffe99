"""A benchmark's questions, asked of the embedded model about stand-in videos."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from small_videos import encode
from typer.testing import CliRunner

from evaluate.__main__ import app
from evaluate.watching.watcher import Watcher


def questions(*arguments: str | Path) -> Any:
    command = ["questions", *map(str, arguments), "--json"]
    return json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout)


def stand_ins(folder: Path, names: set[str]) -> Path:
    """Two clips, under all the names that are asked about."""
    clips = [encode(folder / f"{n}.mp4", frames=30 + 15 * n, size=(64, 96)) for n in range(2)]
    (folder / "videos").mkdir()
    for number, name in enumerate(sorted(names)):
        os.link(clips[number % 2], folder / "videos" / name)
    return folder / "videos"


def decoded_files(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded from now on."""
    files: list[Path] = []
    original = Watcher._watched
    monkeypatch.setattr(Watcher, "_watched", lambda self, video: files.append(video) or original(self, video))
    return files


def dev_file(shared_data: Path) -> Path:
    return shared_data / "conversations" / "qbench-video" / "qbvideo_dev_single.json"
