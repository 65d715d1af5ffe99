"""The demo from end to end: every step is the command that a user runs."""

import json
import time
from pathlib import Path
from typing import Any

from config.load import load_settings
from demo.clips import make_dataset
from demo.steps import forget_features, run_command
from store.features import FeatureStore

PIPELINE = "tiny"
CONTENTS = 64
SEED = 0


def take_tour(folder: Path, config: Path, *, contents: int = CONTENTS, restart: bool = False) -> None:
    """Make the dataset, extract, train, evaluate, and say where everything is.

    A run of an earlier dataset is replaced; one of other settings or of another decoder only by `restart`.
    """
    started = time.perf_counter()
    settings = load_settings(config)
    print("1/4  the dataset: generated videos, encoded with x264, labelled by SSIM to their pristine clip")
    _make_dataset(folder / "dataset", contents, FeatureStore(settings.store.path))
    dataset = [f"--set=datasets.demo.videos={folder.resolve() / 'dataset' / 'videos'}"]
    dataset += [f"--set=datasets.demo.labels={folder.resolve() / 'dataset' / 'labels.csv'}"]
    dataset += [f"--config={config}"]
    print("2/4  features")
    run_command("extract", "demo", "--pipeline", PIPELINE, *dataset)
    print("3/4  training")
    again = restart or _older(folder / "run.json", folder / "dataset" / "dataset.json")
    run_command("train", PIPELINE, "--run", str(folder), *(["--restart"] if again else []), *dataset)
    print("4/4  evaluation")
    run_command("evaluate", "run", str(folder), f"--config={config}")
    summary = _summary(folder, time.perf_counter() - started)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    _farewell(folder, summary)


def _older(file: Path, other: Path) -> bool:
    """Whether the file is there and was written before the other: then it speaks of an earlier one."""
    return file.is_file() and file.stat().st_mtime_ns < other.stat().st_mtime_ns


def _make_dataset(folder: Path, contents: int, store: FeatureStore) -> None:
    """Make the dataset; where its videos are new, features of earlier ones of those names are forgotten."""
    with forget_features(folder, "demo", store):
        make_dataset(folder, contents=contents, seed=SEED, workers=2)


def _summary(folder: Path, seconds: float) -> dict[str, Any]:
    results = json.loads((folder / "evaluation" / "metrics.json").read_text())
    expected, generate = results["expected"], results["generate"]
    return {
        "srcc_expected": expected["srcc"],
        "srcc_generate": generate["srcc"],
        "plcc_expected": expected["plcc"],
        "plcc_generate": generate["plcc"],
        "parse_failures": results["parse_failures"],
        "level_accuracy": results["level_accuracy"]["total"],
        "n_test": expected["n"],
        "seconds": round(seconds, 1),
    }


def _farewell(folder: Path, summary: dict[str, Any]) -> None:
    print(f"\nDone in {summary['seconds']:.0f} s; the test videos' contents were not seen in training.")
    print(f"  report   {folder / 'evaluation' / 'report.html'}")
    print(f"  summary  {folder / 'summary.json'}")
    print("\nNext:")
    print(f"  .venv/bin/python -m evaluate predict VIDEO.mp4 --run {folder}     score your own videos")
    print(f"  .venv/bin/python -m evaluate ladder VIDEO.mp4 --run {folder}      does it see blur, noise, …?")
    print("  README.md, “Your own dataset”                                    train on your own scores")
