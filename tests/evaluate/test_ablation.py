"""Ablations: cells from settings, done once, divided among processes, on features that nothing changes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from training_set import ROOT, decoder_overrides

from config.load import SettingsError, load_settings
from config.schema.entry import RANDOM
from evaluate.protocols.ablation import AblationRow, Study, ablation_table, run_ablation, study_of
from evaluate.protocols.gpus import one_of
from evaluate.protocols.plan import protocol_plan
from evaluate.protocols.run import protocol_cells
from store.features import FeatureStore
from train.model.decoder import load_tokenizer

ABLATION = (
    'ablations.motion={ title = "Motion", pipeline = "tiny", protocol = "quick", cells = { with = {},'
    " without = { branches.temporal = false, training.data_share = 0.5 } } }"
)
PROTOCOL = 'protocols.quick={ pipelines = ["tiny"], dataset = "demo", kind = "random-splits", repeats = 2 }'
QUICK = ("head=regression", "training.epochs=1", "training.select=last")


def overrides_of(folder: Path) -> list[str]:
    return [
        *decoder_overrides(folder),
        *(f"pipelines.tiny.{each}" for each in QUICK),
        ABLATION,
        PROTOCOL,
        f"store.path={folder / 'features'}",
        f"datasets.demo.labels={folder / 'demo.csv'}",
        r"datasets.demo.group=(v\d+)",
    ]


@pytest.fixture(scope="module")
def study(pair: Path) -> Study:
    return study_of("motion", load_settings(ROOT / "pipelines.toml", overrides_of(pair)))


@pytest.fixture(scope="module")
def rows(pair: Path, study: Study) -> list[AblationRow]:
    return run_ablation(study, FeatureStore(pair / "features"), pair / "ablation")


def lasting(rows: list[AblationRow]) -> list[AblationRow]:
    """Without what is measured anew each time."""
    return [replace(row, seconds_per_video=None) for row in rows]


def test_a_cell_is_the_pipeline_with_its_changes_and_overrides_reach_it() -> None:
    settings = load_settings(
        ROOT / "pipelines.toml", [PROTOCOL, ABLATION, "pipelines.tiny.training.epochs=7"]
    )
    cells = settings.ablations["motion"].cells
    assert {name: list(cell.branches) for name, cell in cells.items()} == {
        "with": ["spatial", "temporal"],
        "without": ["spatial"],
    }
    assert [cell.training.epochs for cell in cells.values()] == [7, 7]
    assert [cell.name for cell in cells.values()] == ["tiny", "motion.without"], (
        "as it is, its runs are tiny's"
    )
    other = load_settings(
        ROOT / "pipelines.toml",
        [
            PROTOCOL,
            ABLATION,
            "ablations.motion.cells.tiny={}",
            'ablations.motion.cells.other={ extends = "lmm-vqa" }',
        ],
    ).ablations["motion"]
    pipelines = load_settings(ROOT / "pipelines.toml").pipelines
    assert other.cells["tiny"] == pipelines["tiny"]
    assert other.cells["other"].decoder == pipelines["lmm-vqa"].decoder


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("ablations.motion.pipeline=tyni", r"\[ablations\.motion\.cells\.with\] changes 'tyni', .*'tiny'"),
        ("ablations.motion.protocol=quik", r"ablations\.motion\.protocol names 'quik'.*did you mean 'quick'"),
        ("ablations.motion.cells=3", r"ablations\.motion\.cells is 3: expected a table of tables"),
        ("ablations.motion.cells.with=3", r"expected a table of tables"),
        ("ablations.motion.cells.with.traning.epochs=3", r"cells\.with\.traning: unknown key"),
        ("ablations.motion.cells.with.decoder=lama", r"ablations\.motion\.cells\.with\.decoder names 'lama'"),
        ("ablations.motion.cells={}", "at least 1 item"),
        ("protocols.quick.tests=['demo']", "tests names one that is trained on"),
        ("protocols.quick.tests=['demmo']", r"protocols\.quick\.tests names 'demmo'.*'demo'"),
        ("protocols.quick.kind=matrix", "expected two or more datasets"),
    ],
)
def test_ablations_that_cannot_be_are_refused(override: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_settings(ROOT / "pipelines.toml", [PROTOCOL, ABLATION, override])


def test_every_ablation_of_the_settings_differs_from_cell_to_cell() -> None:
    settings = load_settings(ROOT / "pipelines.toml")
    for name, ablation in settings.ablations.items():
        cells = [cell.model_copy(update={"name": ""}) for cell in ablation.cells.values()]
        assert len(cells) >= 2, name
        for number, cell in enumerate(cells):
            assert cell not in cells[:number], name


def test_every_random_decoder_of_an_ablation_has_a_tokenizer() -> None:
    ablations = load_settings(ROOT / "pipelines.toml").ablations.values()
    decoders = [cell.decoder for ablation in ablations for cell in ablation.cells.values()]
    random = [each for each in decoders if each.weights.startswith(RANDOM)]
    assert random
    for each in random:
        tokenizer = load_tokenizer(each)  # raises where there is none
        assert len(tokenizer) <= each.architecture["vocab_size"]


def test_the_table_has_each_cells_figures_and_what_it_costs(study: Study, rows: list[AblationRow]) -> None:
    assert [(row.cell, row.test, row.trials) for row in rows] == [("with", "demo", 2), ("without", "demo", 2)]
    assert rows[0].parameters is not None and rows[1].parameters is not None
    assert rows[0].parameters > rows[1].parameters
    assert rows[0].tokens is not None and rows[0].tokens == 2 * (rows[1].tokens or 0)
    assert rows[0].trained == 32 and 8 <= rows[1].trained <= 24, "a share of about a half"
    assert all(row.seconds_per_video for row in rows)
    assert rows[0].gain is None
    assert rows[1].gain == pytest.approx(rows[1].srcc - rows[0].srcc) and rows[1].gain_std is not None
    text = ablation_table(study, rows).render("markdown")
    assert [head.strip() for head in text.splitlines()[0].split("|")][1:4] == [
        "Motion",
        "SRCC",
        "against with",
    ]
    assert "±" in text and "Tested on" not in text


def test_a_finished_cell_is_not_done_again_but_one_of_other_labels_is(
    pair: Path,
    study: Study,
    rows: list[AblationRow],
) -> None:
    store, folder = FeatureStore(pair / "features"), pair / "ablation"
    files = sorted(folder.glob("quick/*/*/tested.json"))
    before = {file: file.stat().st_mtime_ns for file in files}
    assert len(files) == 4
    assert run_ablation(study, store, folder) == rows
    assert {file: file.stat().st_mtime_ns for file in files} == before
    damaged = files[0]
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert lasting(run_ablation(study, store, folder)) == lasting(rows)
    assert {file for file in files if file.stat().st_mtime_ns != before[file]} == {damaged}
    cells = protocol_cells(study.protocol, study.runs, study.trials, store, folder)
    trial = study.trials[0]
    changed = replace(
        trial, tested={"demo": [replace(trial.tested["demo"][0], mos=1.0), *trial.tested["demo"][1:]]}
    )
    assert replace(cells[0], trial=changed).digest() != cells[0].digest()
    assert (
        protocol_cells(study.protocol, study.runs, study.trials, store, pair)[0].digest() == cells[0].digest()
    )


@pytest.mark.slow
def test_nothing_is_written_to_the_store(pair: Path, study: Study, rows: list[AblationRow]) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (pair / "features").rglob("*") if path.is_file()}

    before = files()
    again = run_ablation(study, FeatureStore(pair / "features"), pair / "ablation", restart=True)
    assert lasting(again) == lasting(rows) and files() == before


def test_a_plan_says_what_is_left_and_trains_nothing(
    pair: Path,
    study: Study,
    rows: list[AblationRow],
) -> None:
    store = FeatureStore(pair / "features")
    cells = protocol_cells(study.protocol, study.runs, study.trials, store, study.runs_in(pair / "ablation"))
    plan = protocol_plan("motion", cells, card="H100")
    assert [(each.method, each.trials, each.done) for each in plan.methods] == [
        ("tiny", 2, 2),
        ("motion.without", 2, 2),
    ]
    videos = [each.videos for each in plan.methods]
    assert videos[0] == 32 and videos[1] is not None and 8 <= videos[1] <= 24, "a share of about a half"
    assert [each.parameters for each in plan.methods] == [row.parameters for row in rows]
    anew = protocol_cells(study.protocol, study.runs, study.trials, store, pair / "not-begun")
    assert [each.done for each in protocol_plan("motion", anew).methods] == [0, 0]
    assert not (pair / "not-begun").exists()
    assert "4 cells" in plan.lines()[0] and "nss.temporal" in plan.lines()[0]


@pytest.mark.soak
def test_two_processes_divide_the_cells_and_one_that_is_killed_is_taken_over(
    pair: Path,
    rows: list[AblationRow],
) -> None:
    folder = pair / "divided"
    command = [sys.executable, "-m", "evaluate", "ablate", "motion", "--folder", str(folder), "--json"]
    command += [part for each in overrides_of(pair) for part in ("--set", each)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    first = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    while not list(folder.glob("quick/.leases/*.lease-0")):
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    others = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [json.loads(process.communicate()[0])["motion"] for process in others]
    for found in said:
        assert lasting([AblationRow(**row) for row in found]) == lasting(rows)


def test_workers_take_the_gpus_in_turn() -> None:
    assert [one_of(["0", "3"], worker) for worker in (1, 2, 3)] == ["0", "3", "0"]
    assert one_of([], 1) is None
