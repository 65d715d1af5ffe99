"""`python -m evaluate`: judge predictions and runs."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from config import cli
from config.errors import count
from config.load import DEFAULT_FILE, load_settings, lookup
from config.schema import DatasetSettings
from evaluate.chat.command import ask
from evaluate.comparing.command import compare, metrics
from evaluate.options import Device, RunFolder
from evaluate.predicting.command import ladder, predict
from evaluate.probe.command import probe
from evaluate.protocols.command import ablate, protocol
from evaluate.questions.command import judge, questions
from evaluate.report.command import tables
from store.features import FeatureStore

if TYPE_CHECKING:
    from train.pretrained import TrainedModel

app = cli.command_app("Score videos with a trained run, and judge scores against opinion scores.")
app.command()(predict)
app.command()(ladder)
app.command()(metrics)
app.command()(compare)
app.command()(protocol)
app.command()(ablate)
app.command()(ask)
app.command()(questions)
app.command()(judge)
app.command()(probe)
app.command()(tables)


@app.command()
def run(
    run: RunFolder,
    dataset: Annotated[
        str | None, typer.Option(help="Another dataset, tested as a whole: out of distribution.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which split of the run's own dataset.")] = "test",
    config: cli.Config = DEFAULT_FILE,
    overrides: cli.Overrides = None,
    device: Device = "auto",
    json: cli.Json = False,
) -> None:
    """Test a run on stored features: predictions, metrics, the table beside published numbers, the report.

    Of a dataset of conversations: what the run writes beside their last answers, by what is asked.
    """
    from evaluate.report.publish import publish
    from evaluate.results.run import evaluate_run
    from evaluate.scoring.model import load_trained

    settings = load_settings(config, overrides or [])
    other = None if dataset is None else lookup(settings.datasets, dataset, "dataset")
    trained, store = load_trained(run, device), FeatureStore(settings.store.path)
    tested = other or trained.settings.dataset
    if tested.conversations:
        _evaluate_conversations(trained, store, tested, split, json)
        return
    evaluation = evaluate_run(trained, store, other, split, quiet=json)
    published = publish(trained, evaluation)
    if json:
        cli.print_json({**evaluation.as_json(), "folder": str(published.folder)})
        return
    print("\n".join(published.lines))


def _evaluate_conversations(
    trained: "TrainedModel", store: FeatureStore, dataset: DatasetSettings, split: str, json: bool
) -> None:
    from evaluate.results.conversations import evaluate_conversations, write_answers
    from evaluate.results.run import evaluation_folder

    found = evaluate_conversations(trained, store, dataset, split, quiet=json)
    folder = evaluation_folder(trained, found.dataset, found.part)
    write_answers(folder, found)
    if json:
        cli.print_json({**found.as_json(), "folder": str(folder)})
        return
    print(found.table())
    if found.missing:
        print(f"{count(len(found.missing), 'conversation')} without features left out")
    for place, problem in found.problems.items():
        print(f"{place}: {problem}")
    print(f"{folder / 'answers.jsonl'}: every answer beside the true one")


@app.command()
def calibrate(
    run: RunFolder,
    split: Annotated[str, typer.Option(help="A held-out split of the run's own datasets.")] = "val",
    config: cli.Config = DEFAULT_FILE,
    overrides: cli.Overrides = None,
    device: Device = "auto",
    json: cli.Json = False,
) -> None:
    """Make a run's standard deviations as large as its errors on a held-out split."""
    from evaluate.errors import EvaluationError
    from evaluate.metrics.spread import calibrate, pooled, spread_line
    from evaluate.results.run import evaluate_run
    from evaluate.scoring.model import load_trained

    if split == "train":
        raise EvaluationError(
            "--split train: errors on videos that the run has learnt from are too small: expected a split"
            " that it has not, such as val"
        )
    settings = load_settings(config, overrides or [])
    trained = load_trained(run, device)
    store = FeatureStore(settings.store.path)
    found = [
        evaluate_run(trained, store, dataset, split, quiet=json).spread
        for dataset in trained.settings.datasets
    ]
    spreads = [spread for spread in found if spread is not None]
    spread = calibrate(trained, pooled(spreads) if spreads else None)
    if json:
        cli.print_json(asdict(spread))
        return
    print(spread_line(spread))
    print(f"{run}: standard deviations are scaled so from now on")


if __name__ == "__main__":
    cli.run(app)
