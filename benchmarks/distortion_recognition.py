"""What is learnt of generated distortions: which kind, how strong, which is worse, when. For any CPU.

    python benchmarks/distortion_recognition.py runs/distortion-recognition [--sources 48 --seed 0]

Painted clips are distorted by `python -m distort`. A small decoder of random weights, whose tokenizer has
the conversations' words, learns the conversations as a whole, with projectors of natural-scene statistics:
once with the tokens of motion, once with those of pictures alone. Asked are the conversations about sources
that were not seen; beside the figures stand those of SVMs on the same features. What is finished is reused.
"""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.painted import painted_sources
from benchmarks.recognition import Row, Said, figures_of, svm_figures
from config import cli
from config.load import load_settings
from config.schema import Settings
from demo.decoder_tokenizer import build_tokenizer
from evaluate.protocols.svr import video_means
from evaluate.scoring.answered import answer_conversations
from evaluate.scoring.model import load_trained, run_reader
from store.features import FeatureStore
from store.labels.records import read_records
from train.data.dialogues import dialogue_samples
from train.data.reader import FeatureReader
from train.job import train_run

ROOT = Path(__file__).parents[1]
CONFIG = Path(__file__).with_suffix(".toml")
PIPELINES = {"both": "with motion", "pictures": "pictures alone"}
SPLITS = ("train", "test")
_MOST_TOKENS = 12
"""Of an answer; the longest has nine."""

app = cli.command_app("Measure what is learnt of generated distortions.")


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="Where data and runs go; what is finished is reused.")],
    sources: Annotated[int, typer.Option(min=4)] = 96,
    kinds_each: Annotated[int, typer.Option(min=1, help="Of each source so many kinds, drawn.")] = 22,
    strengths_each: Annotated[int, typer.Option(min=1, help="Of each kind so many, drawn.")] = 2,
    stretches: Annotated[int, typer.Option(min=1, help="Of each source, for `when`.")] = 30,
    seconds: Annotated[float, typer.Option(min=2)] = 6.0,
    lines: Annotated[int, typer.Option(min=64, help="Height of the frames, which are about 16 : 9.")] = 144,
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    overrides: cli.Overrides = None,
) -> None:
    """Make the data, train both pipelines, print the table."""
    folder = folder.resolve()
    painted_sources(folder / "sources", sources, seconds, (lines // 9 * 16, lines))
    few = ["--kinds-each", str(kinds_each), "--strengths-each", str(strengths_each), "--mixed", "0"]
    size = ["--stretches", str(stretches), "--seconds", str(seconds), "--max-lines", str(lines)]
    split = ["--validation-share", "0", "--test-share", "0.25"]
    made = ["--into", str(folder / "distorted"), *few, *size, *split]
    _python("-m", "distort", str(folder / "sources"), *made)
    own = [
        *_places(folder),
        *(f"pipelines.{name}.training.seed={seed}" for name in PIPELINES),
        *_as_long_as_the_sources(seconds),
        *(overrides or []),
    ]
    options = [part for each in own for part in ("--set", each)]
    _python("-m", "extract", "distorted", "--pipeline", "both", "--config", str(CONFIG), *options)
    settings, labels, found = load_settings(CONFIG, own), read_labels(folder), {}
    for name in PIPELINES:
        means = video_means(_reader(settings, name), [video.removesuffix(".mp4") for video in labels])
        features = dict(zip(labels, means, strict=True))
        answers = learnt(settings, name, folder / "runs" / f"{name}-{seed}", folder)
        found[name] = {"model": figures_of(answers, labels), "SVM": svm_figures(features, labels)}
        (folder / f"recognition-{seed}.json").write_text(json.dumps(found, indent=2))
    print(report(found))


def learnt(settings: Settings, name: str, run: Path, folder: Path) -> list[Said]:
    """Train the pipeline, and ask it the test conversations."""
    dataset = settings.datasets["distorted"]
    store, own = FeatureStore(settings.store.path), settings.run(settings.pipelines[name], dataset)
    train_run(own, store, {}, run)
    trained = load_trained(run, "cpu")
    reader = run_reader(trained, store, dataset)
    samples = dialogue_samples(trained.settings, dataset, reader).parts["test"]
    records = _records(folder, "test")
    answers = answer_conversations(trained, samples, reader, _MOST_TOKENS)
    said = []
    for record, each in zip(records, answers, strict=True):
        shown = record["image"]
        videos = tuple(shown) if isinstance(shown, list) else (shown,)
        said.append(Said(record["id"].partition(" ")[0], videos, each.true, each.written))
    (run / "answers.json").write_text(json.dumps([vars(each) for each in said], indent=1))
    return said


def read_labels(folder: Path) -> dict[str, Row]:
    """Video → its row of labels.csv."""
    with (folder / "distorted" / "labels.csv").open(newline="") as file:
        return {row["video"]: row for row in csv.DictReader(file)}


def report(found: dict[str, dict[str, dict[str, float]]]) -> str:
    """A line for each figure; columns by the pipelines, of the model and the SVMs."""
    columns = [(name, who) for name in found for who in ("model", "SVM")]
    rows = [
        [figure, *(found[name][who].get(figure) for name, who in columns)]
        for figure in next(iter(found.values()))["model"]
    ]
    headers = ["", *(f"{who}, {PIPELINES[name]}" for name, who in columns)]
    return tabulate(rows, headers, tablefmt="github", floatfmt=".3f", missingval="")


def _places(folder: Path) -> list[str]:
    """Overrides: where the folder has what the settings name. Makes the tokenizer."""
    texts = [
        turn["value"]
        for split in SPLITS
        for record in _records(folder, split)
        for turn in record["conversations"]
    ]
    tokenizer = build_tokenizer(text.replace("<image>", " ") for text in texts)
    tokenizer.save_pretrained(folder / "tokenizer")
    data = folder / "distorted"
    return [
        f"store.path={folder / 'features'}",
        f"datasets.distorted.videos={data / 'videos'}",
        *(f"datasets.distorted.labels.{split}={data / f'conversations-{split}.jsonl'}" for split in SPLITS),
        f"decoders.own.tokenizer={folder / 'tokenizer'}",
        f"decoders.own.architecture.vocab_size={len(tokenizer)}",
    ]


def _as_long_as_the_sources(seconds: float) -> list[str]:
    """Overrides: stalls make a copy longer, which pictures alone should not be told by its tokens."""
    return [
        f"pipelines.{name}.branches.{branch}.first_chunks={math.ceil(seconds)}"
        for name in PIPELINES
        for branch in load_settings(CONFIG).pipelines[name].branches
    ]


def _records(folder: Path, split: str) -> list[dict[str, Any]]:
    return [record for _, record in read_records(folder / "distorted" / f"conversations-{split}.jsonl")]


def _reader(settings: Settings, name: str) -> FeatureReader:
    dataset = settings.datasets["distorted"]
    return FeatureReader(FeatureStore(settings.store.path), dataset, settings.pipelines[name].branches)


def _python(*command: str) -> None:
    subprocess.run([sys.executable, *command], check=True, cwd=ROOT)


if __name__ == "__main__":
    cli.run(app)
