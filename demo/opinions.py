"""The embedded model: what people said of 3,165 videos, learnt through the embedded decoder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from config.errors import count
from config.load import lookup
from config.schema import DatasetSettings, PipelineSettings, Settings
from demo.graded import make_graded
from demo.published import MATRICES, import_published
from demo.shipping import install
from demo.steps import forget_features, run_command
from evaluate.errors import EvaluationError
from evaluate.metrics.spread import pooled
from evaluate.protocols.ablation import AblationRow, Study, run_ablation, study_of
from evaluate.protocols.outcome import ProtocolResult, write_outcome
from evaluate.protocols.pages import write_ablation, write_protocol
from evaluate.protocols.run import run_protocol
from evaluate.protocols.trials import protocol_trials
from store.features import FeatureStore
from store.labels.dataset import grouped_labels
from train.job import train_run
from train.pretrained import from_pretrained
from train.saving.checkpoint import checkpoint_of

PIPELINE: Final = "embedded"
PROTOCOL: Final = "opinions-folds"
SCIENCE: Final = "science"
GRADED: Final = "graded"
GRADED_CONTENTS: Final = 40


@dataclass(frozen=True)
class Built:
    """Where the model is, and what was found on the way."""

    folder: Path
    summary: Mapping[str, Any]


def build_model(
    target: Path, matrices: Path, settings: Settings, work: Path, options: Sequence[str] = ()
) -> Built:
    """Train the embedded model on VIDEVAL's published matrices, and put it beside its decoder in `target`.

    It learns from graded copies of painted clips too, which are made in `work`. Cross-validation comes
    first: its figures go into the card, and its errors say how large the standard deviations are to be. The
    model itself learns from all videos. `work`: the runs' folder; what is finished there is used again.
    `options`: those of the command line, --config and --set, that the settings were read with.
    Raises PublishedFileMissing, StepFailed, DatasetFolderTaken, EvaluationError where the pipeline's
    predictions have no standard deviations, and what training raises.
    """
    pipeline = settings.pipelines[PIPELINE]
    settings = _with_graded(settings, work, options)
    found = judge_published(PROTOCOL, matrices, settings, work)
    run = settings.run(pipeline, *(settings.datasets[name] for name in settings.protocols[PROTOCOL].trained))
    spreads = [split.spread[PIPELINE] for split in found.splits if PIPELINE in split.spread]
    if not spreads:
        raise EvaluationError(
            f"pipelines.{PIPELINE} predicts no standard deviations, which the protocol {PROTOCOL} should make"
            " as large as its errors: expected head = decoder"
        )
    scale = pooled(spreads).std_scale
    run = run.model_copy(update={"pipeline": pipeline.model_copy(update={"std_scale": scale})})
    everything = {
        dataset.name: {"train": grouped_labels(dataset), "val": [], "test": []} for dataset in run.datasets
    }
    trained = train_run(run, FeatureStore(settings.store.path), everything, work / "model")
    summary = _summary(found, trained.videos, pipeline.members, scale)
    install(checkpoint_of(trained.folder), target, run, summary)
    from_pretrained(target, device="cpu")  # it loads from where it is now
    return Built(target, summary)


def judge_published(
    name: str, matrices: Path, settings: Settings, work: Path, *, restart: bool = False, workers: int = 1
) -> ProtocolResult:
    """Import what the protocol's pipelines read of the published matrices, and run it in `work`/NAME."""
    protocol = lookup(settings.protocols, name, "protocol")
    datasets = {each: settings.datasets[each] for each in protocol.involved}
    pipelines = [settings.pipelines[each] for each in protocol.pipelines]
    work.mkdir(parents=True, exist_ok=True)
    store = FeatureStore(settings.store.path)
    _import(store, settings, pipelines, datasets, matrices)
    runs = [settings.run(pipeline, *datasets.values()) for pipeline in pipelines]
    trials = protocol_trials(protocol, runs[0].datasets)
    outcome = run_protocol(protocol, runs, trials, store, work / name, restart=restart, workers=workers)
    write_outcome(work / name, outcome)
    write_protocol(outcome, work / name)
    return outcome


def study_published(
    matrices: Path, settings: Settings, work: Path, *, workers: int = 1
) -> Iterator[tuple[Study, list[AblationRow]]]:
    """Import what is needed, and run every ablation that the protocol `science` judges, one by one.

    Raises PublishedFileMissing, and what training raises.
    """
    names = [name for name, ablation in settings.ablations.items() if ablation.protocol == SCIENCE]
    work.mkdir(parents=True, exist_ok=True)
    store = FeatureStore(settings.store.path)
    datasets = {each: settings.datasets[each] for each in settings.protocols[SCIENCE].involved}
    cells = [cell for name in names for cell in settings.ablations[name].cells.values()]
    _import(store, settings, cells, datasets, matrices)
    for name in names:
        study = study_of(name, settings)
        rows = run_ablation(study, store, work, workers=workers)
        write_ablation(study, rows, work)
        yield study, rows


def _import(
    store: FeatureStore,
    settings: Settings,
    pipelines: Sequence[PipelineSettings],
    datasets: Mapping[str, DatasetSettings],
    matrices: Path,
) -> None:
    """What the pipelines read of the published matrices."""
    published = {name: dataset for name, dataset in datasets.items() if name in MATRICES}
    for name in dict.fromkeys(each for pipeline in pipelines for each in pipeline.encoders):
        for dataset, done in import_published(store, settings.encoders[name], published, matrices).items():
            print(f"{dataset}: {count(done.videos, 'video')} of {name}, {done.new} of them new")


def _with_graded(settings: Settings, work: Path, options: Sequence[str]) -> Settings:
    """Make the graded copies that the protocol also trains on, and put their features into the store."""
    name = GRADED
    if name not in settings.protocols[PROTOCOL].also:
        return settings
    folder = work / name
    print("graded copies of painted clips")
    with forget_features(folder, name, store := FeatureStore(settings.store.path)):
        labels = make_graded(folder, contents=GRADED_CONTENTS, seed=0, workers=2)
    at = {"videos": (folder / "videos").resolve(), "labels": labels.resolve()}
    places = [f"--set=datasets.{name}.{key}={path}" for key, path in at.items()]
    places.append(f"--set=store.path={store.root}")
    run_command("extract", name, "--pipeline", PIPELINE, *options, *places)
    datasets = {**settings.datasets, name: settings.datasets[name].model_copy(update=at)}
    return settings.model_copy(update={"datasets": datasets})


def with_labels_from(folder: Path, settings: Settings) -> Settings:
    """The settings, with the label files of the matrices in that folder, or in its subfolders by dataset."""
    datasets = dict(settings.datasets)
    for name in MATRICES:
        file = Path(str(datasets[name].labels)).name
        within = folder / name / file
        datasets[name] = datasets[name].model_copy(
            update={"labels": within if within.is_file() else folder / file}
        )
    return settings.model_copy(update={"datasets": datasets})


def _summary(
    found: ProtocolResult, videos: Mapping[str, Mapping[str, int]], members: int, scale: float
) -> dict[str, Any]:
    expected, written = (f"{PIPELINE}, {how}" for how in ("expected", "generate"))
    return {
        "videos": {name: parts["train"] for name, parts in videos.items()},
        "members": members,
        "folds": len(found.splits),
        "all": {"expected": found.methods[expected], "generate": found.methods[written]},
        "datasets": {name: each[expected] for name, each in found.datasets.items()},
        "parse_failures": sum(split.parse_failures[PIPELINE] for split in found.splits),
        "std_scale": scale,
    }
