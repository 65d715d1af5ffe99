"""Numbers as the page shows them."""

from evaluate.report.tables import NOTHING
from store.labels.files import MosScale


def scale_decimals(scale: MosScale) -> int:
    """Decimals that are worth showing of a score on this scale."""
    return 1 if scale.high - scale.low >= 20 else 2


def number(value: float | None, decimals: int) -> str:
    """With a minus sign rather than a hyphen; a dash for None."""
    return NOTHING if value is None else f"{value:.{decimals}f}".replace("-", "−")


def signed(value: float | None, decimals: int) -> str:
    """A difference, with its sign."""
    if value is None:
        return NOTHING
    rounded = round(value, decimals)
    return f"{rounded:+.{decimals}f}".replace("-", "−") if rounded else f"{0:.{decimals}f}"


def share(value: float | None) -> str:
    """In per cent; a dash for None."""
    return NOTHING if value is None else f"{100 * value:.0f} %"
