"""`python -m train`: train a pipeline on cached features."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from config import cli
from config.load import DEFAULT_FILE, load_settings, lookup
from store.features import FeatureStore
from store.labels.dataset import labelled_split
from train.commands import app as data_app

if TYPE_CHECKING:
    from train.job import TrainedRun


class _TrainIsMeant(TyperGroup):
    """`python -m train PIPELINE` without the name of a command is `python -m train train PIPELINE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named or not args else ["train", *args])


app = cli.command_app(
    "Train a pipeline's projectors on features that `python -m extract` stored. `python -m train PIPELINE`"
    " is short for `python -m train train PIPELINE`."
)
app.info.cls = _TrainIsMeant
app.add_typer(data_app, name="data")


@app.command()
def unpack(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a checkpoint that VQA²'s authors published.")],
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    json: cli.Json = False,
) -> None:
    """Take VQA²'s published checkpoint apart: what `--from` begins with, decoder, weights of the encoders."""
    from train.saving.vqa2 import unpack as unpack_checkpoint

    found = unpack_checkpoint(checkpoint, folder)
    if json:
        cli.print_json({"folder": str(folder), "files": found})
        return
    print(f"{folder}: {', '.join(found)}; docs/models.md says what each is for")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")],
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    json: cli.Json = False,
) -> None:
    """Copy a run's selected checkpoint, without the training's state, to publish it or take it elsewhere."""
    from train.saving.checkpoint import export as export_run

    exported = export_run(run, folder)
    if json:
        cli.print_json({"folder": str(exported), "files": sorted(path.name for path in exported.iterdir())})
        return
    print(f"{exported}: `python -m evaluate predict VIDEO.mp4 --run {exported}` uses it")


@app.command()
def train(
    pipeline: Annotated[str, typer.Argument(help="A pipeline of pipelines.toml.")] = "lmm-vqa",
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="A dataset to train on, where not the pipeline's own. Repeatable: on all of them."),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="The run's folder; runs/PIPELINE where not given.")] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN|FOLDER",
            help="Begin with the weights of another run or published model; runs/NAME by itself, where the"
            " pipeline `continues` the pipeline NAME.",
        ),
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Replace a run that is in the folder.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what there is to train on, how much memory it needs and how long it takes; train"
            " nothing. Labels are enough.",
        ),
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="With --dry-run: plan for all labelled videos, each so long. Default: what is stored, else"
            " the files' headers, else 8 s.",
        ),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="With --dry-run: GPUs to train on.")] = 1,
    card: Annotated[
        str | None, typer.Option(help="With --dry-run: of which kind, such as H100 (train/plan/cards.toml).")
    ] = None,
    overrides: cli.Overrides = None,
    config: cli.Config = DEFAULT_FILE,
    json: cli.Json = False,
) -> None:
    """Train a pipeline; the same command again continues a run that was stopped."""
    settings = load_settings(config, overrides or [])
    chosen = lookup(settings.pipelines, pipeline, "pipeline")
    names = list(dict.fromkeys(dataset or [chosen.dataset]))
    datasets = [lookup(settings.datasets, name, "dataset") for name in names]
    folder = run or Path("runs") / "-".join([pipeline, *(names if names != [chosen.dataset] else [])])
    splits = {data.name: labelled_split(data) for data in datasets if not data.conversations}

    store = FeatureStore(settings.store.path)
    if dry_run:
        from train.plan.plan import make_plan

        plan = make_plan(
            settings.run(chosen, *datasets),
            store,
            splits,
            seconds=seconds,
            processes=processes,
            card_name=card,
        )
        if json:
            cli.print_json(plan.as_json())
        else:
            print("\n".join(plan.lines()))
        return
    # Read when CUDA starts: lengths differ from pass to pass, and fixed segments would be left in pieces.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    from accelerate import PartialState

    from train.job import train_run

    if start is None and chosen.continues is not None:
        start = Path("runs") / chosen.continues
    trained = train_run(
        settings.run(chosen, *datasets), store, splits, folder, quiet=json, restart=restart, start=start
    )
    state = PartialState()
    if not state.is_main_process:
        pass
    elif json:
        cli.print_json(asdict(trained))
    else:
        print("\n".join(_lines(trained)))
    state.destroy_process_group()


def _lines(trained: "TrainedRun") -> list[str]:
    outcome, folder, lines = trained.outcome, trained.folder, []
    if outcome.resumed_from_step == outcome.steps:
        lines.append(f"already trained: {folder} ({outcome.steps} steps); --restart trains it again")
    elif outcome.resumed_from_step is not None:
        lines.append(f"continued from step {outcome.resumed_from_step}")
    best = "" if outcome.best_srcc is None else f", best validation SRCC {outcome.best_srcc:.3f}"
    early = ", stopped early as it no longer improved" if outcome.stopped_early else ""
    return [*lines, f"{outcome.steps} steps{best}{early}: {folder}", f"next: python -m evaluate run {folder}"]


if __name__ == "__main__":
    cli.run(app)
