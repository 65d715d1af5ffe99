import pytest

from evaluate.results.run import hardly_differing


def test_scores_that_hardly_differ_are_remarked_upon() -> None:
    mos = [10.0, 50.0, 90.0]
    (remark,) = hardly_differing(mos, [48.9, 49.0, 49.1])
    assert remark.startswith("the scores differ by 0.2 at most, the opinion scores by 80: the run has hardly")
    assert hardly_differing(mos, [49.0] * 3) != []


@pytest.mark.parametrize("scores", [[40.0, 45.0, 50.0], [10.0, 20.0, 11.7]])
def test_others_are_not(scores: list[float]) -> None:
    assert hardly_differing([10.0, 50.0, 90.0], scores) == hardly_differing([1.0], [1.0]) == []
