"""How far the demo's figure moves: test SRCC over training seeds and instruction sets of the CPU.

Beside it, on the same features and split: ridge regression, its penalty chosen by cross-validation over the
training contents, and the RBF-SVR of `evaluate protocol`. Needs what `make demo` leaves behind, and changes
nothing of it.

    python benchmarks/demo_steadiness.py runs/demo-steadiness
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tabulate import tabulate

from config import cli
from config.load import DEFAULT_FILE, load_settings
from config.schema import ProtocolSettings, Settings
from evaluate.metrics.scores import score_metrics
from evaluate.protocols.run import run_protocol
from evaluate.protocols.svr import video_means
from evaluate.protocols.trials import protocol_trials
from store.features import FeatureStore
from store.labels.dataset import join_split, labelled_split
from train.data.reader import FeatureReader

PIPELINE = "tiny"
READOUTS = ("expected", "generate")
PENALTIES = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0]

app = cli.command_app("Measure how far the demo's figure moves with seeds and instruction sets.")


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="Where the runs go; finished ones are reused.")],
    seeds: Annotated[int, typer.Option(min=1)] = 5,
    capabilities: Annotated[
        str, typer.Option(help="Values of ATEN_CPU_CAPABILITY, in a list.")
    ] = "avx2,default",
    one: Annotated[bool, typer.Option("--one", hidden=True)] = False,
    overrides: cli.Overrides = None,
    config: cli.Config = DEFAULT_FILE,
) -> None:
    """Train and test every seed under every instruction set, each set in a process of its own."""
    settings = load_settings(config, overrides or [])
    if one:
        measure(settings, folder, seeds)
        return
    found: dict[str, dict[str, dict[str, float]]] = {}
    for capability in capabilities.split(","):
        here = folder / capability
        options = [
            f"--seeds={seeds}",
            "--one",
            f"--config={config}",
            *(f"--set={o}" for o in overrides or []),
        ]
        subprocess.run(
            [sys.executable, __file__, str(here), *options],
            env={**os.environ, "ATEN_CPU_CAPABILITY": capability},
            check=True,
        )
        found[capability] = json.loads((here / "steadiness.json").read_text())
    print(report(found, ridge_srcc(settings)))


def measure(settings: Settings, folder: Path, seeds: int) -> None:
    """Train and test the seeds in this process; steadiness.json has their SRCC, the SVR's, and the time."""
    started = time.process_time()
    base = settings.run(settings.pipelines[PIPELINE], settings.datasets["demo"])
    runs = []
    for seed in range(seeds):
        training = base.pipeline.training.model_copy(update={"seed": seed})
        pipeline = base.pipeline.model_copy(update={"name": f"seed-{seed}", "training": training})
        runs.append(base.model_copy(update={"pipeline": pipeline}))
    names = tuple(run.pipeline.name for run in runs)
    protocol = ProtocolSettings(
        name="steadiness", pipelines=names, datasets=("demo",), kind="in-sample", baseline="svr"
    )
    trials = protocol_trials(protocol, runs[0].datasets)
    result = run_protocol(protocol, runs, trials, FeatureStore(settings.store.path), folder)
    metrics = result.splits[0].metrics
    figures = {
        name: {readout: metrics[f"{name}, {readout}"]["srcc"] for readout in READOUTS} for name in names
    }
    figures["svr"] = {"srcc": metrics["svr"]["srcc"]}
    figures["process"] = {"cpu_seconds": round(time.process_time() - started, 1)}
    (folder / "steadiness.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(f"{torch.backends.cpu.get_cpu_capability()}: {json.dumps(figures)}", flush=True)


def ridge_srcc(settings: Settings) -> float:
    """Test SRCC of ridge regression on each video's mean features."""
    dataset, branches = settings.datasets["demo"], settings.pipelines[PIPELINE].branches
    reader = FeatureReader(FeatureStore(settings.store.path), dataset, branches)
    split, _ = join_split(labelled_split(dataset), reader.videos())
    features = {
        part: video_means(reader, [label.video for label in split[part]]) for part in ("train", "test")
    }
    mos = {part: np.array([label.mos for label in split[part]]) for part in features}
    search = GridSearchCV(
        make_pipeline(StandardScaler(), Ridge()),
        {"ridge__alpha": PENALTIES},
        cv=GroupKFold(5),
        scoring="neg_mean_squared_error",
    ).fit(features["train"], mos["train"], groups=[label.group for label in split["train"]])
    return float(score_metrics(mos["test"], search.predict(features["test"])).srcc or 0.0)


def report(found: dict[str, dict[str, dict[str, float]]], ridge: float) -> str:
    """A table of every run's SRCC, and least, median, most and their spread over all of them."""
    names = [name for name in next(iter(found.values())) if name.startswith("seed-")]
    rows = [
        [capability, readout, *(figures[name][readout] for name in names)]
        for capability, figures in found.items()
        for readout in READOUTS
    ]
    lines = [tabulate(rows, ["ATEN_CPU_CAPABILITY", "readout", *names], floatfmt=".3f"), ""]
    for readout in READOUTS:
        all_of_it = [figures[name][readout] for figures in found.values() for name in names]
        least, most = min(all_of_it), max(all_of_it)
        middle = median(all_of_it)
        lines.append(f"{readout}: {least:.3f} to {most:.3f} ({most - least:.3f}), median {middle:.3f}")
    svr = next(iter(found.values()))["svr"]["srcc"]
    return "\n".join([*lines, f"ridge {ridge:.3f}, SVR {svr:.3f}, on the same features and split"])


if __name__ == "__main__":
    cli.run(app)
