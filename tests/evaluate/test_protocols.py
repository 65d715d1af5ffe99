"""Protocols over several datasets: trained on together, tested together and apart, or each by the others."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_clusters import left_open, ray_cluster
from scipy.stats import spearmanr
from training_set import ROOT, run_settings

from config.load import SettingsError, load_settings
from config.schema import DatasetSettings, ProtocolSettings, RunSettings
from evaluate.protocols.kept import FILE
from evaluate.protocols.outcome import ProtocolResult, protocol_table, write_outcome
from evaluate.protocols.plan import protocol_plan
from evaluate.protocols.run import Found, protocol_cells, run_protocol
from evaluate.protocols.trials import dataset_of, protocol_trials
from evaluate.scoring.model import load_trained, predict_stored, run_reader
from store.features import FeatureStore
from store.labels.dataset import labelled_split
from store.labels.errors import SplitError
from store.labels.files import MosScale
from train.errors import RunError
from train.saving.labels import load_labels
from train.saving.run import load_run

NAMES = ("demo", "KoNViD-1k")
ALIGNED = "pipelines.tiny.aligned.KoNViD-1k={ slope = 0.5, intercept = 0.25 }"
COMBINED = ProtocolSettings(
    name="combined", pipelines=("tiny",), datasets=NAMES, kind="random-splits", repeats=2, baseline="svr"
)
CROSS = COMBINED.model_copy(update={"name": "cross", "kind": "cross-dataset", "baseline": "none"})


def datasets_of(folder: Path) -> list[DatasetSettings]:
    known = load_settings(ROOT / "pipelines.toml").datasets
    return [
        known[name].model_copy(update={"labels": folder / f"{name}.csv", "group": None}) for name in NAMES
    ]


def runs_of(folder: Path, *overrides: str) -> list[RunSettings]:
    # One thread, as the tests' own process has: on two, sums may be taken in another order
    quick = ("head=regression", "training.epochs=1", "training.select=last", "training.threads=1")
    settings = run_settings(folder, *(f"pipelines.tiny.{each}" for each in quick), *overrides)
    chosen = tuple(map(settings.pipeline.on_its_scale, datasets_of(folder)))
    return [RunSettings.model_validate({**dict(settings), "datasets": chosen})]


def run(folder: Path, protocol: ProtocolSettings) -> ProtocolResult:
    trials = protocol_trials(protocol, datasets_of(folder))
    store = FeatureStore(folder / "features")
    result = run_protocol(protocol, runs_of(folder, ALIGNED), trials, store, folder / protocol.name)
    write_outcome(folder / protocol.name, result)
    return result


@pytest.fixture(scope="module")
def combined(pair: Path) -> ProtocolResult:
    return run(pair, COMBINED)


@pytest.fixture(scope="module")
def cross(pair: Path) -> ProtocolResult:
    return run(pair, CROSS)


def test_each_dataset_is_split_as_it_is_alone(pair: Path) -> None:
    datasets = datasets_of(pair)
    trials = protocol_trials(COMBINED, datasets)
    assert [trial.name for trial in trials] == ["split-0", "split-1"]
    for dataset in datasets:
        alone = COMBINED.model_copy(update={"datasets": (dataset.name,)})
        for trial, own in zip(trials, protocol_trials(alone, [dataset]), strict=True):
            assert trial.splits[dataset.name] == own.splits[dataset.name]
            assert trial.tested[dataset.name] == own.splits[dataset.name]["test"]
    assert trials[0].tested != trials[1].tested
    counts = {name: len(labels) for name, labels in trials[0].tested.items()}
    assert counts == {"demo": 8, "KoNViD-1k": 6}


@pytest.mark.slow
def test_a_dataset_may_be_trained_on_as_well_and_never_tested(pair: Path) -> None:
    protocol = COMBINED.model_copy(update={"name": "also", "datasets": ("demo",), "also": ("KoNViD-1k",)})
    result = run(pair, protocol)
    assert [(split.train, split.test) for split in result.splits] == [(32 + 30, 8)] * 2
    assert set(result.datasets) == {"demo"}
    recorded = load_labels(pair / "also" / "tiny" / "split-0")
    assert len(recorded["KoNViD-1k"].split["train"]) == 30 and not recorded["KoNViD-1k"].split["test"]
    with pytest.raises(ValueError, match="datasets and also name one twice: demo, demo"):
        ProtocolSettings(**{**COMBINED.model_dump(), "datasets": ("demo",), "also": ("demo",)})
    with pytest.raises(SettingsError, match=r"protocols\.opinions-folds\.also names 'graed'.*graded"):
        load_settings(ROOT / "pipelines.toml", ['protocols.opinions-folds.also=["graed"]'])


def test_one_run_learns_from_all_training_parts(pair: Path, combined: ProtocolResult) -> None:
    assert [(split.train, split.test) for split in combined.splits] == [(32 + 24, 8 + 6)] * 2
    recorded = load_labels(pair / "combined" / "tiny" / "split-1")
    trial = protocol_trials(COMBINED, datasets_of(pair))[1]
    for name in NAMES:
        assert recorded[name].split["test"] == [label.video for label in trial.tested[name]]
        assert set(recorded[name].split["train"]) == {label.video for label in trial.splits[name]["train"]}


def test_figures_are_of_all_test_videos_on_one_scale_and_of_each_datasets(
    pair: Path, combined: ProtocolResult
) -> None:
    written = (pair / "combined" / "protocol.json").read_text()
    assert json.dumps(json.loads(written)) == json.dumps(asdict(combined))
    datasets = runs_of(pair, ALIGNED)[0].datasets
    trial = protocol_trials(COMBINED, datasets)[0]
    trained, store = (
        load_trained(pair / "combined" / "tiny" / "split-0"),
        FeatureStore(pair / "features"),
    )
    mos, scores = list[float](), list[float]()
    for dataset in datasets:
        labels = trial.tested[dataset.name]
        reader = run_reader(trained, store, dataset)
        said = predict_stored(trained, reader, [label.video for label in labels], dataset.name, quiet=True)
        own = [prediction.score or 0.0 for prediction in said]
        truth = [MosScale.of(dataset).to_100(label.mos) for label in labels]
        found = combined.splits[0].datasets[dataset.name]["tiny, expected"]
        assert (found["n"], found["srcc"]) == (len(labels), pytest.approx(spearmanr(truth, own).statistic))
        mos, scores = mos + truth, scores + own
    konvid = mos[-6:]
    assert all(25 <= score <= 75 for score in konvid), "aligned"
    found = combined.splits[0].metrics["tiny, expected"]
    assert (found["n"], found["srcc"]) == (14, pytest.approx(spearmanr(mos, scores).statistic))
    for dataset, over in ((None, combined.methods), *combined.datasets.items()):
        for method in ("tiny, expected", "svr"):
            each = [
                (split.metrics if dataset is None else split.datasets[dataset])[method]["srcc"]
                for split in combined.splits
            ]
            assert over[method]["srcc"] == pytest.approx(
                np.median([np.nan if e is None else e for e in each]), nan_ok=True
            )


def test_the_table_shows_all_videos_and_each_dataset(combined: ProtocolResult) -> None:
    lines = protocol_table(combined).splitlines()
    assert lines[0].split()[:4] == ["videos", "median", "of", "splits"]
    assert lines[-1] == "RMSE on 0–100, KoNViD-1k as aligned"
    assert [line.split()[0] for line in lines if "svr" in line] == ["all", "demo", "KoNViD-1k"]
    alone = replace(combined, datasets={"demo": combined.datasets["demo"]})
    assert protocol_table(alone).startswith("median of splits")


@pytest.mark.slow
def test_each_dataset_is_tested_by_a_run_that_never_saw_it(pair: Path, cross: ProtocolResult) -> None:
    names = [f"{name}-{number}" for name in NAMES for number in (0, 1)]
    assert [split.name for split in cross.splits] == names
    assert [(split.train, split.test) for split in cross.splits] == [(30, 40)] * 2 + [(40, 30)] * 2
    runs = [load_run(pair / "cross" / "tiny" / name) for name in names]
    assert [tuple(run.split) for run in runs] == [("KoNViD-1k",)] * 2 + [("demo",)] * 2
    first, second = (run.settings.pipeline.training.seed for run in runs[:2])
    assert second == first + 1
    assert runs[0].settings.dataset.aligned is not None
    for name in NAMES:
        own = [
            split.datasets[name]["tiny, expected"]["srcc"] or 0.0
            for split in cross.splits
            if name in split.datasets
        ]
        assert len(own) == 2 and cross.datasets[name]["tiny, expected"]["srcc"] == pytest.approx(np.mean(own))
    assert [line.split()[0] for line in protocol_table(cross).splitlines() if "tiny, " in line][:3] == [
        "all",
        *NAMES,
    ]


def test_pipelines_on_different_scales_are_not_compared(pair: Path) -> None:
    runs = [*runs_of(pair), *runs_of(pair, ALIGNED)]
    with pytest.raises(RunError, match="combined lay opinion scores on different scales"):
        run_protocol(COMBINED, runs, [], FeatureStore(pair / "features"), pair / "never")


def test_published_folds_of_several_datasets_are_equally_many(pair: Path) -> None:
    datasets = []
    for dataset, folds in zip(datasets_of(pair), (2, 3), strict=True):
        videos = [f"v{i}" for i in range(30)]
        files = [pair / f"{dataset.name}-{number}.txt" for number in range(folds)]
        for number, file in enumerate(files):
            file.write_text("video\n" + "\n".join(videos[number::folds]) + "\n")
        datasets.append(dataset.model_copy(update={"folds": tuple(files)}))
    folded = COMBINED.model_copy(update={"kind": "published-folds"})
    with pytest.raises(SplitError, match="equally many published folds, not 2 of demo, 3 of KoNViD-1k"):
        protocol_trials(folded, datasets)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("datasets=['KoNViD-1k', 'LSVQ']", "expected one of dataset and datasets"),
        ("kind=cross-dataset", "expected two or more datasets"),
        ("dataset=KoNViD", r"finetune-KoNViD-1k\.datasets names 'KoNViD', .*did you mean 'KoNViD-1k'"),
    ],
)
def test_protocols_that_cannot_be_are_refused(override: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(ROOT / "pipelines.toml", [f"protocols.finetune-KoNViD-1k.{override}"])


def assert_found_alike(folder: Path, found: ProtocolResult, combined: ProtocolResult) -> None:
    """As `combined`, which ran in one process."""
    for method in ("svr", "tiny"):
        for trial in ("split-0", "split-1"):
            one, other = (
                json.loads((each / method / trial / FILE).read_text())["tests"]
                for each in (folder.with_name(COMBINED.name), folder)
            )
            assert one == other, f"{method} in {trial}"
    assert rounded(found) == rounded(combined)


def rounded(result: ProtocolResult) -> Any:
    """Fitted figures differ in their last places with where NumPy's arrays happen to lie in memory."""
    return json.loads(json.dumps(asdict(result)), parse_float=lambda text: round(float(text), 9))


@pytest.mark.slow
def test_trials_run_beside_each_other(pair: Path, combined: ProtocolResult) -> None:
    trials, store = protocol_trials(COMBINED, datasets_of(pair)), FeatureStore(pair / "features")
    folder = pair / "beside"
    found = run_protocol(COMBINED, runs_of(pair, ALIGNED), trials, store, folder, workers=2)
    assert_found_alike(folder, found, combined)


@pytest.fixture
def cluster() -> Iterator[Any]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt -e '.[ray]'")
    with ray_cluster() as made:
        yield made


@pytest.mark.soak
@left_open
def test_trials_run_on_a_cluster_whose_nodes_die(pair: Path, combined: ProtocolResult, cluster: Any) -> None:
    from evaluate.protocols.cluster import Cluster

    trials, store = protocol_trials(COMBINED, datasets_of(pair)), FeatureStore(pair / "features")
    folder, first, seen = pair / "cluster", cluster.add_node(num_cpus=1), list[ProtocolResult]()

    def after(result: ProtocolResult, _: Found) -> None:
        seen.append(result)
        if len(seen) == 1:
            cluster.add_node(num_cpus=1)
            cluster.remove_node(first, allow_graceful=False)

    with Cluster(cluster.address) as nodes:
        found = run_protocol(
            COMBINED, runs_of(pair, ALIGNED), trials, store, folder, cluster=nodes, on_cell=after
        )
    assert len(seen) == 4
    assert_found_alike(folder, found, combined)


def test_one_run_is_tested_on_its_own_test_set_and_on_whole_other_datasets(pair: Path) -> None:
    protocol = ProtocolSettings(
        name="ood", pipelines=("tiny",), datasets=("demo",), tests=("KoNViD-1k",), kind="in-sample"
    )
    result = run(pair, protocol)
    (split,) = result.splits
    test = len(labelled_split(datasets_of(pair)[0])["test"])
    assert {name: found["tiny, expected"]["n"] for name, found in split.datasets.items()} == {
        "demo": test,
        "KoNViD-1k": 30,
    }
    assert tuple(load_run(pair / "ood" / "tiny" / "run").split) == ("demo",)
    assert not (pair / "ood" / "store.json").exists()  # leases are no features
    table = protocol_table(result)
    assert not result.pools and "all" not in [line.split()[0] for line in table.splitlines() if line]
    assert set(result.levels) == {"demo", "KoNViD-1k"}
    shares = split.levels["KoNViD-1k"]["tiny, expected"]
    assert shares["total"] is not None and 0 <= shares["total"] <= 1 and "level accuracy" in table


def test_a_plan_counts_the_features_of_what_is_only_tested(pair: Path) -> None:
    alone = ProtocolSettings(name="ood", pipelines=("tiny",), datasets=("demo",), kind="in-sample")
    store, runs = FeatureStore(pair / "features"), runs_of(pair)
    sizes = []
    for protocol in (alone, alone.model_copy(update={"tests": ("KoNViD-1k",)})):
        trials = protocol_trials(protocol, datasets_of(pair))
        cells = protocol_cells(protocol, runs, trials, store, pair / "planned")
        plan = protocol_plan("ood", cells, seconds=2.0)
        (method,) = plan.methods
        sizes.append((method.videos, method.tested, sum(plan.feature_bytes.values())))
    (videos, tested, own), (again, with_others, both) = sizes
    assert again == videos and with_others == tested + 30
    assert both / own == pytest.approx((40 + 30) / 40)


def test_further_test_sets_of_a_dataset_are_tested_by_their_names(pair: Path) -> None:
    rows = (pair / "demo.csv").read_text().splitlines()
    files = {"train": rows[1:25], "test": rows[25:33], "test-hard": rows[33:]}
    for part, own in files.items():
        (pair / f"demo-{part}.csv").write_text("\n".join(["video,mos", *own]) + "\n")
    parts = datasets_of(pair)[0].model_copy(
        update={"labels": {part: pair / f"demo-{part}.csv" for part in files}, "validation_share": 0.0}
    )
    protocol = ProtocolSettings(name="parts", pipelines=("tiny",), datasets=("demo",), kind="in-sample")
    (trial,) = protocol_trials(protocol, [parts])
    assert {name: len(labels) for name, labels in trial.tested.items()} == {"demo": 8, "demo/test-hard": 8}
    assert {dataset_of(name) for name in trial.tested} == {"demo"}


def test_a_matrix_trains_on_each_dataset_alone_and_tests_on_each_with_several_seeds(pair: Path) -> None:
    protocol = COMBINED.model_copy(
        update={"name": "matrix", "kind": "matrix", "seeds": 2, "baseline": "none"}
    )
    trials = protocol_trials(protocol, datasets_of(pair))
    assert [(trial.name, trial.seed, tuple(trial.splits)) for trial in trials] == [
        (f"trained-on-{name}-seed-{seed}", seed, (name,)) for name in NAMES for seed in (0, 1)
    ]
    own = {dataset.name: len(labelled_split(dataset)["test"]) for dataset in datasets_of(pair)}
    sizes = [{name: len(labels) for name, labels in trial.tested.items()} for trial in trials[::2]]
    assert sizes == [{"demo": own["demo"], "KoNViD-1k": 30}, {"KoNViD-1k": own["KoNViD-1k"], "demo": 40}]
    for trial in trials:
        learnt = {label.video for split in trial.splits.values() for label in split["train"]}
        (name,) = trial.splits
        assert learnt.isdisjoint(label.video for label in trial.tested[name])
