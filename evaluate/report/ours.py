"""Figures of our own runs, as their evaluation folders hold them, to stand beside published ones."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from config.errors import count, refusing
from config.schema import RunSettings
from train.errors import RunError
from train.saving.run import Run, load_run

_RELEASES = {"YouTube-UGC": (1020, 1098, 1142, 1147, 1380)}
"""Dataset → videos of its releases."""
_WHOLE = {
    ("LSVQ", "test"): 7182,
    ("LSVQ", "test-1080p"): 3561,
    ("KoNViD-1k", "all"): 1200,
    ("YouTube-UGC", "all"): 1020,
    ("LIVE-VQC", "all"): 585,
    ("LIVE-YT-Gaming", "all"): 600,
}
"""Test set → the fewest videos that published figures are of."""


@dataclass(frozen=True)
class OwnResult:
    """What an evaluation found, by one way of answering."""

    method: str
    dataset: str
    test: str
    """The part that was tested; `all` is a whole dataset."""
    protocol: Literal["in-sample", "ood"]
    trained_on: str
    release: int | None
    """As of `published.PublishedResult`: by the number of labelled videos."""
    whole: bool
    """Whether the test set is as large as those of published figures."""
    srcc: float | None
    """To three decimals, as others print it, and so PLCC and shares."""
    plcc: float | None
    levels: Mapping[str, float | None]
    """Level, and `total` → share of videos whose level was given correctly."""
    note: str
    """What a reader must know of it."""
    place: Path
    """The evaluation's folder."""


def own_results(run: Path) -> list[OwnResult]:
    """Figures of all evaluations of a run (evaluation*/metrics.json), `expected` and `generate` apart.

    Raises RunError where the folder is no run, has not been evaluated, or a file cannot be read.
    """
    known = load_run(run)
    files = sorted(run.glob("evaluation*/metrics.json"))
    if not files:
        raise RunError(
            f"{run} has no evaluation*/metrics.json: `python -m evaluate run {run}` tests it, with --dataset"
            " NAME on another dataset"
        )
    return [result for file in files for result in _results(run, known, file)]


def settings_notes(settings: RunSettings) -> list[str]:
    """What a reader must know of figures of a run with these settings."""
    weights = {name: encoder.weights or "" for name, encoder in settings.encoders.items()}
    weights["decoder"] = settings.pipeline.decoder.weights
    random = [name for name, value in weights.items() if value.startswith("random:")]
    remarks = [f"random weights: {', '.join(random)}"] if random else []
    if settings.trains_on("demo"):
        remarks.append("generated videos, labels from SSIM")
    return remarks


def _results(run: Path, known: Run, file: Path) -> list[OwnResult]:
    with refusing(RunError, f"{file} is no metrics.json of `python -m evaluate run`"):
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if "expected" not in found:
            return []  # of conversations, which have no scores
        return [
            _result(run, known, file, found, "expected", found["level_accuracy"]),
            _result(run, known, file, found, "generate", found["level_accuracy_generate"]),
        ]


def _result(
    run: Path, known: Run, file: Path, found: Mapping[str, Any], mode: str, levels: Mapping[str, Any]
) -> OwnResult:
    dataset, part, labelled = found["dataset"], found["part"], found["n"] + len(found["missing"])
    figures = found[mode]
    return OwnResult(
        method=f"{run.resolve().name}, {mode}",
        dataset=dataset,
        test=part,
        protocol="in-sample" if dataset in known.seen else "ood",
        trained_on=_trained_on(known),
        release=labelled if labelled in _RELEASES.get(dataset, ()) else None,
        whole=figures["n"] >= _WHOLE.get((dataset, part), 0) and not found["missing"],
        srcc=_rounded(figures["srcc"]),
        plcc=_rounded(figures["plcc"]),
        levels={name: _rounded(share) for name, share in levels.items()},
        note="; ".join(_notes(known, found, mode)),
        place=file.parent,
    )


def _trained_on(known: Run) -> str:
    share = known.settings.pipeline.training.data_share
    names = " + ".join(known.seen)
    return names if share == 1 else f"{share * 100:g}% of {names}"


def _notes(known: Run, found: Mapping[str, Any], mode: str) -> Sequence[str]:
    missing, without = len(found["missing"]), found["parse_failures"] if mode == "generate" else 0
    remarks = [
        known.settings.pipeline.name,
        count(found[mode]["n"], "video"),
        f"{missing:,} more without features" if missing else "",
        f"{count(without, 'answer')} without a score" if without else "",
        found[mode]["note"],
        *found["remarks"],
        *settings_notes(known.settings),
    ]
    return [remark for remark in remarks if remark]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
