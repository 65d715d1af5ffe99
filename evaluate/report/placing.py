"""Where a result stands in a wide table, and which results are comparable with each other."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from evaluate.report.ours import OwnResult
from evaluate.report.published import RELEASED, PublishedLevelAccuracy, PublishedResult
from evaluate.report.tables import with_release

Result = PublishedResult | PublishedLevelAccuracy | OwnResult

_PROTOCOLS = {"ood": "OOD", "ablation": "in-sample"}
"""As columns name them; an ablation's variants are tested in-sample."""


@dataclass(frozen=True)
class Place:
    """A test set, as others or we were tested on it: a group of columns."""

    dataset: str
    test: str
    protocol: str
    release: int | None

    @classmethod
    def of(cls, result: Result) -> "Place":
        """The result's."""
        protocol = _PROTOCOLS.get(result.protocol, result.protocol)
        return cls(result.dataset, result.test, protocol, result.release)

    @property
    def without_release(self) -> tuple[str, str, str]:
        """What a table must have for a result to belong to it."""
        return self.dataset, self.test, self.protocol

    def heading(self, with_protocol: bool) -> str:
        """`YouTube-UGC (1,142), OOD`, or without the protocol, where the title says it."""
        name = with_release(self.dataset, self.release)
        test = "" if self.test == "all" else f" {self.test}"
        return f"{name}{test}{f', {self.protocol}' if with_protocol else ''}"


def fitting(ours: Iterable[OwnResult], others: Iterable[Result]) -> list[OwnResult]:
    """Those of ours that were tested as others were, on the same test set of any release."""
    known = {Place.of(other).without_release for other in others}
    return [result for result in ours if Place.of(result).without_release in known]


def places(results: Sequence[Result]) -> list[Place]:
    """In the order of the results; releases of a dataset beside each other, the largest first."""
    found = list(dict.fromkeys(map(Place.of, results)))
    order = list(dict.fromkeys(place.without_release for place in found))
    return sorted(found, key=lambda place: (order.index(place.without_release), -(place.release or 0)))


def comparable(result: Result) -> Hashable:
    """What two results on one `Place` have in common where one may be called better than the other.

    The training data; and where it is not known which release was tested, the source, which put its rows
    beside each other. None, comparable with nothing: ours on such a release, or on a part of the test set.
    """
    unknown = result.dataset in RELEASED and result.release is None
    if isinstance(result, OwnResult):
        return None if unknown or not result.whole else (result.trained_on, None)
    return result.trained_on, result.source if unknown else None


def grouped(results: Iterable[Result]) -> list[list[Result]]:
    """What stands in one row: of one method, trained once, from one paper or run."""
    rows: dict[Hashable, list[Result]] = {}
    for result in results:
        origin = result.place.parent if isinstance(result, OwnResult) else result.source.split(",")[0]
        rows.setdefault((result.method, result.trained_on, origin), []).append(result)
    return list(rows.values())


def method(result: Result) -> str:
    """As a row names it: ours are marked."""
    return f"{result.method} (ours)" if isinstance(result, OwnResult) else result.method


def source(row: Iterable[Result]) -> str:
    """Of published figures where they are printed; of ours what must be known of them, by dataset."""
    ours = [f"{result.dataset}: {result.note}" for result in row if isinstance(result, OwnResult)]
    others = [result.source for result in row if not isinstance(result, OwnResult)]
    return f"{'ours' if ours else 'published'}: {'; '.join(dict.fromkeys(ours or others))}"
