"""`python -m demo`: the whole pipeline on generated videos, and the embedded decoder by itself."""

from pathlib import Path
from typing import Annotated

import typer

from config import cli
from config.load import DEFAULT_FILE, EMBEDDED_MODEL, load_settings
from config.schema import Settings

app = cli.command_app("The embedded default: a generated dataset and a tiny decoder; downloads nothing.")


@app.command()
def run(
    folder: Annotated[Path, typer.Option(help="Where the dataset, run and summary go.")] = Path("runs/demo"),
    contents: Annotated[int, typer.Option(min=3, help="Scenes; there are 7 videos of each.")] = 64,
    restart: Annotated[bool, typer.Option("--restart", help="Replace a run that is in the folder.")] = False,
    config: cli.Config = DEFAULT_FILE,
) -> None:
    """Generate videos, extract, train, evaluate and report, by the commands a user runs."""
    from demo.tour import take_tour

    take_tour(folder, config, contents=contents, restart=restart)


@app.command()
def decoder(
    folder: Annotated[Path, typer.Argument(help="A new folder.")] = Path("runs/embedded-decoder"),
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 1500,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    config: cli.Config = DEFAULT_FILE,
) -> None:
    """Train a new tiny language decoder, as the one in models/embedded/decoder was."""
    from demo.decoder import build_decoder, task_texts
    from demo.decoder_training import DecoderRecipe

    settings = load_settings(config)
    tasks = [settings.tasks[name] for name in settings.pipelines["tiny"].tasks]
    recipe = DecoderRecipe(steps=steps, seed=seed)
    summary = build_decoder(folder, recipe, task_texts(tasks), progress=not quiet)
    print(f"{folder}: trained in {summary['seconds']:.0f} s; pass it to training and evaluation with")
    print(f"  --set pipelines.tiny.decoder.weights={folder.resolve()}")


Matrices = Annotated[
    Path, typer.Argument(help="The folder of VIDEVAL's published *_feats.mat.", metavar="FEATURES")
]
Labels = Annotated[
    Path | None, typer.Option(help="The folder of the label files; data/DATASET/ each where not given.")
]
Work = Annotated[Path, typer.Option(help="Where the runs and the imported features go.")]


@app.command()
def model(
    matrices: Matrices,
    labels: Labels = None,
    into: Annotated[Path, typer.Option(help="Where the model goes, beside its decoder.")] = EMBEDDED_MODEL,
    work: Work = Path("runs/embedded"),
    config: cli.Config = DEFAULT_FILE,
    overrides: cli.Overrides = None,
) -> None:
    """Train the embedded model on people's opinions of 3,165 videos, by published features."""
    from demo.opinions import build_model

    settings = _settings(config, overrides, labels, work)
    options = [f"--config={config}", *(f"--set={override}" for override in overrides or [])]
    built = build_model(into, matrices, settings, work, options)
    print(
        f"{built.folder}: SRCC {built.summary['all']['expected']['srcc']:.3f} on videos left out of training"
    )


@app.command()
def opinions(
    matrices: Matrices,
    labels: Labels = None,
    protocol: Annotated[
        str, typer.Option(help="A protocol of pipelines.toml on these datasets.")
    ] = "opinions-combined",
    work: Work = Path("runs/opinions"),
    restart: Annotated[bool, typer.Option("--restart", help="Replace the runs in the folder.")] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Trials beside each other, each in a process of its own.")
    ] = 1,
    config: cli.Config = DEFAULT_FILE,
    overrides: cli.Overrides = None,
) -> None:
    """Train and test on people's opinions, by published features, beside an SVR on the same splits."""
    from demo.opinions import judge_published
    from evaluate.protocols.outcome import protocol_table

    settings = _settings(config, overrides, labels, work)
    print(
        protocol_table(judge_published(protocol, matrices, settings, work, restart=restart, workers=workers))
    )


@app.command()
def science(
    matrices: Matrices,
    labels: Labels = None,
    work: Work = Path("runs/science"),
    workers: Annotated[
        int, typer.Option(min=1, help="Trainings beside each other, each in a process of its own.")
    ] = 1,
    config: cli.Config = DEFAULT_FILE,
    overrides: cli.Overrides = None,
) -> None:
    """Every ablation of the embedded decoder on people's opinions: five folds, three seeds each."""
    from demo.opinions import study_published
    from evaluate.protocols.ablation import ablation_table

    settings = _settings(config, overrides, labels, work)
    for study, rows in study_published(matrices, settings, work, workers=workers):
        print(f"\n{ablation_table(study, rows).render('markdown')}", end="")


def _settings(config: Path, overrides: list[str] | None, labels: Path | None, work: Path) -> Settings:
    from demo.opinions import with_labels_from

    settings = load_settings(config, [f"store.path={work.resolve() / 'features'}", *(overrides or [])])
    return settings if labels is None else with_labels_from(labels, settings)


if __name__ == "__main__":
    cli.run(app)
