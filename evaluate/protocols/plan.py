"""What a protocol or an ablation would take: cells, videos, tokens, hours, bytes; nothing is trained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from config.errors import count
from evaluate.protocols.cell import SVR, Cell
from evaluate.protocols.kept import kept
from evaluate.report.tables import Table
from train.plan.plan import make_plan, tested_bytes
from train.plan.report import TrainingPlan


@dataclass(frozen=True)
class PlannedMethod:
    """A method's cells in all trials; figures of the first trial's, as all are alike."""

    method: str
    trials: int
    done: int
    """Cells that are finished, and are not done again."""
    videos: int | None
    """Trained on; None of the baseline, as all that follows."""
    tested: int
    tokens: float | None
    """Visual tokens of a video in the decoder, over all members."""
    parameters: int | None
    """How many are trained."""
    hours: float | None
    """Of training one cell, on the card that was named."""


@dataclass(frozen=True)
class ProtocolPlan:
    """What the cells would take."""

    name: str
    methods: list[PlannedMethod]
    feature_bytes: dict[str, float]
    """Encoder and stream → bytes in the store, of all datasets; cells that read the same share them."""
    card: str | None
    processes: int

    @property
    def hours(self) -> float | None:
        """Of all cells that are not done."""
        known = [(each.trials - each.done) * each.hours for each in self.methods if each.hours is not None]
        return sum(known) if known else None

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {**asdict(self), "hours": self.hours}

    def lines(self) -> list[str]:
        """For people."""
        rows = tuple(
            (
                each.method,
                f"{each.trials}" if not each.done else f"{each.trials}, {each.done} of them done",
                _written(each.videos),
                _written(each.tested),
                _written(each.tokens),
                _written(each.parameters),
                None if each.hours is None else f"{each.hours:.2g}",
                None if each.hours is None else f"{(each.trials - each.done) * each.hours:.3g}",
            )
            for each in self.methods
        )
        numbers = ("Training videos", "Test videos", "Tokens", "Trained parameters", "Hours each", "Hours")
        table = Table(("Cell", "Trials", *numbers), rows, frozenset(numbers))
        cells = sum(each.trials for each in self.methods)
        size = sum(self.feature_bytes.values()) / 1e9
        on = "" if self.card is None else f" on {self.processes} × {self.card}, for the steps alone"
        hours = "name a card with --card for hours" if self.hours is None else f"{self.hours:.3g} hours{on}"
        return [
            f"{self.name}: {count(cells, 'cell')}, {hours}; {size:.3g} GB of features"
            f" ({', '.join(self.feature_bytes)}), which all cells share",
            table.render("plain").rstrip(),
        ]


def protocol_plan(
    name: str,
    cells: Sequence[Cell],
    *,
    seconds: float | None = None,
    processes: int = 1,
    card: str | None = None,
) -> ProtocolPlan:
    """From labels and settings, without weights, and without features where there are none.

    `seconds`: of each video, whatever is stored. `processes`: cards that a training takes. Raises TrainError.
    """
    by_method: dict[str, list[Cell]] = {}
    for cell in cells:
        by_method.setdefault(cell.method, []).append(cell)
    methods, sizes = [], dict[str, float]()
    for method, own in by_method.items():
        plan = None if method == SVR else _plan(own[0], seconds, processes, card)
        if plan is not None:
            sizes |= _feature_bytes(own[0], plan, seconds)
        methods.append(
            PlannedMethod(
                method=method,
                trials=len(own),
                done=sum(kept(cell) is not None for cell in own),
                videos=None if plan is None else sum(each.get("train", 0) for each in plan.videos.values()),
                tested=sum(map(len, own[0].trial.tested.values())),
                tokens=None if plan is None else plan.tokens.members * plan.tokens.visual_mean,
                parameters=None if plan is None else sum(plan.trained.values()),
                hours=None if plan is None else plan.hours,
            )
        )
    return ProtocolPlan(name, methods, sizes, card, processes)


def _plan(cell: Cell, seconds: float | None, processes: int, card: str | None) -> TrainingPlan:
    """Of the cell's training."""
    splits = cell.trial.splits
    datasets = tuple(each for each in cell.run.datasets if each.name in splits)
    run = cell.run.model_copy(update={"datasets": datasets})
    return make_plan(run, cell.store, splits, seconds=seconds, processes=processes, card_name=card)


def _feature_bytes(cell: Cell, plan: TrainingPlan, seconds: float | None) -> dict[str, float]:
    """Of what is trained on, and of datasets that are only tested."""
    sizes = dict(plan.feature_bytes)
    for dataset in cell.run.datasets:
        if dataset.name not in cell.trial.splits and dataset.name in cell.trial.tested:
            labels = list(cell.trial.tested[dataset.name])
            for stream, size in tested_bytes(cell.run, cell.store, dataset, labels, seconds).items():
                sizes[stream] = sizes.get(stream, 0.0) + size
    return sizes


def _written(number: float | None) -> str | None:
    return None if number is None else f"{number:,.0f}"
