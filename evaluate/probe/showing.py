"""A probe's scores as a table, and as a plot: a row for each dimension, a column for each second."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from statistics import fmean

from matplotlib.figure import Figure
from tabulate import tabulate

from evaluate.errors import EvaluationError
from evaluate.probe.probing import Probed
from train.saving.folder import writing

_FORMATS = (".svg", ".png", ".pdf")


def table(probed: Probed) -> str:
    """A row for each second, and the mean."""
    names = list(probed.seconds[0])
    rows = [[f"{n}–{n + 1} s", *second.values()] for n, second in enumerate(probed.seconds)]
    rows.append(["mean", *(fmean(second[name] for second in probed.seconds) for name in names)])
    return f"{probed.video}\n{tabulate(rows, ['', *names], floatfmt='.1f')}"


def check_plot(path: Path) -> None:
    """Raise EvaluationError where a plot cannot have this name."""
    if path.suffix.lower() not in _FORMATS:
        raise EvaluationError(f"--plot {path}: expected a name that ends in {', '.join(_FORMATS)}")


def plot(probed: Sequence[Probed], path: Path) -> None:
    """A panel for each video; dark is bad. Raises RunError where the disk refuses."""
    longest = max(len(each.seconds) for each in probed)
    figure = Figure(figsize=(min(16.0, 3.2 + 0.35 * longest), 2.6 * len(probed)), layout="constrained")
    panels = figure.subplots(len(probed), squeeze=False)[:, 0]
    for axes, each in zip(panels, probed, strict=True):
        names = list(each.seconds[0])
        rows = [[second[name] for second in each.seconds] for name in names]
        image = axes.imshow(
            rows,
            aspect="auto",
            vmin=0,
            vmax=100,
            cmap="cividis",
            extent=(0, len(each.seconds), len(names), 0),
            interpolation="nearest",
        )
        axes.set_yticks([place + 0.5 for place in range(len(names))], names)
        axes.set(title=PurePath(str(each.video)).name, xlabel="second")
        axes.tick_params(length=0)
    figure.colorbar(image, ax=list(panels), label="score (100 is best)")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
