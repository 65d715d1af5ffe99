"""The demo from end to end: every step is the command that a user runs."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config.errors import Problem
from config.load import load_settings, lookup
from config.schema import Settings, TaskSettings
from demo.clips import make_dataset
from demo.decoder import build_decoder, decoder_summary
from demo.decoder_training import DecoderRecipe
from store.features import FeatureStore

PIPELINE = "tiny"
CONTENTS = 64
SEED = 0


class StepFailed(Problem):
    """A command of the demo did not succeed."""


def take_tour(
    folder: Path, config: Path, *, contents: int = CONTENTS, decoder_steps: int = DecoderRecipe.steps
) -> None:
    """Make the dataset and the decoder, extract, train, evaluate, and say where everything is."""
    started = time.perf_counter()
    settings = load_settings(config)
    print("1/5  the language decoder, meanwhile", flush=True)
    options = ["--quiet", f"--steps={decoder_steps}", f"--config={config}"]
    decoder = subprocess.Popen([sys.executable, "-m", "demo", "decoder", *options])
    print("2/5  the dataset: generated videos, encoded with x264, labelled by SSIM to their pristine clip")
    _make_dataset(folder / "dataset", contents, FeatureStore(settings.store.path))
    dataset = [f"--set=datasets.demo.videos={folder.resolve() / 'dataset' / 'videos'}"]
    dataset += [f"--set=datasets.demo.labels={folder.resolve() / 'dataset' / 'labels.csv'}"]
    dataset += [f"--config={config}"]
    print("3/5  features")
    _command("extract", "demo", "--pipeline", PIPELINE, *dataset)
    if decoder.wait() != 0:
        raise StepFailed("the language decoder could not be made; the message is above")
    print("4/5  training")
    made = [folder / "dataset" / "dataset.json", _decoder_folder(settings) / "decoder.json"]
    restart = ["--restart"] if _older(folder / "run.json", made) else []
    _command("train", PIPELINE, "--run", str(folder), *restart, *dataset)
    print("5/5  evaluation")
    _command("evaluate", "run", str(folder), f"--config={config}")
    summary = _summary(folder, time.perf_counter() - started)
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    _farewell(folder, summary)


def prepare_decoder(settings: Settings, *, steps: int = DecoderRecipe.steps, quiet: bool = False) -> Path:
    """Train the embedded decoder where the pipeline `tiny` expects it, or say that it is there."""
    folder = _decoder_folder(settings)
    tasks = [settings.tasks[name] for name in settings.pipelines[PIPELINE].tasks]
    made_before = folder.is_dir() and (folder / "decoder.json").stat().st_mtime_ns
    build_decoder(folder, steps=steps, texts=task_texts(tasks), progress=not quiet)
    reused = made_before == (folder / "decoder.json").stat().st_mtime_ns
    seconds = decoder_summary(folder)["seconds"]
    how = "reused" if reused else f"trained in {seconds:.0f} s"
    print(f"     language decoder {how}: {folder}", flush=True)
    return folder


def task_texts(tasks: Sequence[TaskSettings]) -> list[str]:
    """Every text of the questions: the decoder's vocabulary must hold their words."""
    return [text for task in tasks for text in (task.system, *task.questions, task.restriction)]


def _decoder_folder(settings: Settings) -> Path:
    return Path(lookup(settings.pipelines, PIPELINE, "pipeline").decoder.weights)


def _older(file: Path, others: Sequence[Path]) -> bool:
    """Whether the file is there and was written before one of the others: then it speaks of earlier ones."""
    return file.is_file() and file.stat().st_mtime_ns < max(o.stat().st_mtime_ns for o in others)


def _make_dataset(folder: Path, contents: int, store: FeatureStore) -> None:
    """Make the dataset; where its videos are new, features of earlier ones of those names are forgotten."""
    facts = folder / "dataset.json"
    before = facts.stat().st_mtime_ns if facts.is_file() else None
    make_dataset(folder, contents=contents, seed=SEED, workers=2)
    if facts.stat().st_mtime_ns != before:
        for features in store.paths("demo"):
            shutil.rmtree(Path(store.root, features))


def _command(package: str, *arguments: str) -> None:
    shown = [argument for argument in arguments if "=" not in argument]
    print(f"$ python -m {package} {' '.join(shown)}", flush=True)
    done = subprocess.run([sys.executable, "-m", package, *arguments], check=False)
    if done.returncode != 0:
        raise StepFailed(f"`python -m {package}` ended with status {done.returncode}; its message is above")


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
