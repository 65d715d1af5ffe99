"""What VQA²'s first stage and its order of tokens are worth, at a size for any CPU.

    python benchmarks/vqa2_stages.py runs/vqa2-stages [--sources 30 --seeds 5]

Painted clips are distorted in six kinds at five strengths. Stage 1 learns the kind, or kind and strength;
stage 2 learns a score, 100 less 20 for each strength, of a seventh of the videos: from either, and from
scratch. All in both orders of tokens, with several training seeds; SRCC on contents that were not seen.
Finished runs are reused.
"""

import csv
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated

import typer
from scipy.stats import spearmanr
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.painted import painted_sources
from config import cli
from config.load import load_settings
from config.schema import Settings
from demo.decoder import task_texts
from demo.decoder_tokenizer import build_tokenizer
from evaluate.scoring.model import load_trained, predict_stored, run_reader
from store.features import FeatureStore
from store.labels.dataset import labelled_split
from train.job import train_run

CONFIG = Path(__file__).with_suffix(".toml")
WORDS = {
    "none": "clean",
    "gaussian-blur": "blur",
    "noise": "noise",
    "blocking": "blocking",
    "flicker": "flicker",
    "judder": "judder",
    "shake": "shake",
}
STRENGTHS = ("absent", "faint", "slight", "moderate", "strong", "extreme")
SECONDS, SIZE = 3.0, (160, 96)
ORDERS = ("blocks", "interleaved")
FIRST = ("kinds", "strengths")
"""Pipelines of stage 1."""

app = cli.command_app("Measure stage 2 from stage 1 and from scratch, in both orders of tokens.")


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="Where data and runs go; what is finished is reused.")],
    sources: Annotated[int, typer.Option(min=3)] = 30,
    seeds: Annotated[int, typer.Option(min=2)] = 5,
    overrides: cli.Overrides = None,
) -> None:
    """Make the data, train all runs, print their table."""
    folder = folder.resolve()
    videos = make_data(folder, sources)
    own = [
        f"store.path={folder / 'features'}",
        f"datasets.distorted.videos={videos}",
        f"datasets.distorted.labels={folder / 'labels.csv'}",
        *decoder(folder / "tokenizer"),
        *(overrides or []),
    ]
    options = [part for each in own for part in ("--set", each)]
    extract = ["-m", "extract", "distorted", "--pipeline", "kinds", "--config", str(CONFIG), *options]
    subprocess.run([sys.executable, *extract], check=True, cwd=Path(__file__).parents[1])
    found = [measure(folder, own, order, seed) for order in ORDERS for seed in range(seeds)]
    (folder / "vqa2-stages.json").write_text(json.dumps(found, indent=2))
    print(report(found))


def make_data(folder: Path, count: int) -> Path:
    """The folder of distorted copies; labels.csv beside it has their word and score."""
    painted_sources(folder / "sources", count, SECONDS, SIZE)
    kinds = [part for kind in WORDS if kind != "none" for part in ("--kind", kind)]
    few = ["--mixed", "0", "--stretches", "0", "--seconds", str(SECONDS), "--max-lines", str(SIZE[1])]
    made = folder / "distorted"
    command = ["-m", "distort", str(folder / "sources"), "--into", str(made), *kinds, *few]
    subprocess.run([sys.executable, *command], check=True, cwd=Path(__file__).parents[1])
    with (made / "labels.csv").open(newline="") as file, (folder / "labels.csv").open("w", newline="") as new:
        writer = csv.writer(new)
        writer.writerow(["video", "mos", "word", "strength", "split", "source"])
        for row in csv.DictReader(file):
            strength = int(row["strength"])
            words = WORDS[row["kind"]], STRENGTHS[strength]
            writer.writerow([row["video"], 100 - 20 * strength, *words, row["split"], row["source"]])
    return made / "videos"


def decoder(tokenizer: Path) -> list[str]:
    """Make a tokenizer of the tasks' words, and give the overrides that name it."""
    tasks = load_settings(CONFIG).tasks.values()
    own = build_tokenizer([*task_texts(tasks), *(task.answer for task in tasks), *WORDS.values(), *STRENGTHS])
    own.save_pretrained(tokenizer)
    return [f"decoders.own.tokenizer={tokenizer}", f"decoders.own.architecture.vocab_size={len(own)}"]


def measure(folder: Path, overrides: list[str], order: str, seed: int) -> dict[str, object]:
    """Stage 1, and stage 2 from it and from scratch: accuracy of kinds, SRCC of scores."""
    own = [f"pipelines.{name}.token_order={order}" for name in (*FIRST, "stage2")]
    own += [f"pipelines.{name}.training.seed={seed}" for name in (*FIRST, "stage2")]
    settings, place = load_settings(CONFIG, [*overrides, *own]), folder / "runs" / f"{order}-{seed}"
    found: dict[str, object] = {"order": order, "seed": seed}
    for name in FIRST:
        found[f"{name}, kinds right"] = trained(settings, name, place / name, None)
        found[f"from {name}, SRCC"] = trained(settings, "stage2", place / f"from-{name}", place / name)
    return {**found, "from scratch, SRCC": trained(settings, "stage2", place / "scratch", None)}


def trained(settings: Settings, name: str, folder: Path, start: Path | None) -> float:
    """Of a run, on its test videos: of stage 1 the share of kinds that are right, else SRCC."""
    dataset = settings.datasets["distorted"]
    split, store = labelled_split(dataset), FeatureStore(settings.store.path)
    run = settings.run(settings.pipelines[name], dataset)
    train_run(run, store, {dataset.name: split}, folder, quiet=True, start=start)
    model = load_trained(folder, "cpu")
    labels = split["test"]
    predictions = predict_stored(
        model, run_reader(model, store, dataset), [label.video for label in labels], quiet=True
    )
    if name in FIRST:
        pairs = zip(predictions, labels, strict=True)
        return mean(found.answers["kind"].value == label.extra["word"] for found, label in pairs)
    scores = [found.score for found in predictions]
    return float(spearmanr(scores, [label.mos for label in labels]).statistic)


def report(found: list[dict[str, object]]) -> str:
    """Mean and deviation over the seeds."""
    columns = [name for name in found[0] if name not in ("order", "seed")]
    rows = []
    for order in ORDERS:
        own = [each for each in found if each["order"] == order]
        numbers = [[float(str(each[column])) for each in own] for column in columns]
        rows.append([order, *(f"{mean(each):.3f} ± {stdev(each):.3f}" for each in numbers)])
    return tabulate(rows, ["order", *columns], tablefmt="github")


if __name__ == "__main__":
    cli.run(app)
