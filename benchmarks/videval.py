"""How fast VIDEVAL's features are computed, against the length of the video and against decoding alone.

    python benchmarks/videval.py [VIDEO…] [--variants light480-3fps,full] [--rounds 3]

Without videos: generated ones of 540 and 1080 lines, 8 s at 30 frames a second. `one thread` is what each
worker of an extraction does; `all cores` is what `python -m evaluate predict` does with a single video.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.painted import painted_video
from benchmarks.ratios import seconds
from config.schema import EncoderSettings
from extract.encoders.videval.encoder import VidevalEncoder
from extract.tasks import VideoTask
from extract.video.decode import decode
from extract.workers.messages import Ended
from extract.workers.worker import video_messages, worker_config

SECONDS = 8
SIZES = ((960, 540), (1920, 1080))


def main() -> None:
    """Measure every variant on every video and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--variants", default="light480-3fps", type=lambda text: text.split(","))
    parser.add_argument("--rounds", default=3, type=int)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        videos = options.videos or [
            painted_video(Path(folder) / f"{height} lines.mp4", width, height, SECONDS)
            for width, height in SIZES
        ]
        rows = [
            row
            for video in videos
            for variant in options.variants
            for row in _rows(video, variant, options.rounds)
        ]
    headers = ["video", "variant", "way", "seconds", "× real time", "× decoding alone"]
    print(tabulate(rows, headers, floatfmt=".2f", tablefmt="github"))


def _rows(video: Path, variant: str, rounds: int) -> list[Sequence[object]]:
    settings = {"name": "videval", "kind": "videval", "dtype": "float32", "variant": variant}
    encoder = VidevalEncoder(EncoderSettings.model_validate(settings))
    task = VideoTask(video.name, video, ("videval",))
    length = 0.0

    def features(threads: int) -> None:
        nonlocal length
        *_, ended = video_messages(task, worker_config({"videval": encoder}, threads))
        assert isinstance(ended, Ended), ended
        length = ended.info.duration_seconds

    def decoding() -> None:
        with closing(decode(video, {"videval": encoder.view})) as chunks:
            for _ in chunks:
                pass

    ways = {
        "decoding alone": decoding,
        "one thread": lambda: features(1),
        "all cores": lambda: features(os.cpu_count() or 1),
    }
    features(1)  # tables are made once
    times = {name: [seconds(way) for _ in range(rounds)] for name, way in ways.items()}
    middle = {name: statistics.median(found) for name, found in times.items()}
    return [
        (video.name, variant, name, found, length / found, found / middle["decoding alone"])
        for name, found in middle.items()
    ]


if __name__ == "__main__":
    main()
