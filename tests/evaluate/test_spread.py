"""Whether standard deviations are as large as errors, and the scale that makes them so."""

from pathlib import Path

import numpy as np
import pytest
from training_set import make_features, train
from typer.testing import CliRunner

from evaluate.__main__ import app
from evaluate.errors import EvaluationError
from evaluate.metrics.spread import REACH, calibrate, spread_line, spread_of
from evaluate.scoring.model import load_trained
from train.data.reader import FeatureReader
from train.inference.predict import Prediction
from train.saving.checkpoint import CONFIG
from train.saving.run import RUN, read_run


def _prediction(score: float, std: float | None) -> Prediction:
    return Prediction(score, std, None, None, None, None)


@pytest.mark.parametrize("said", [0.5, 1.0, 3.0])
def test_the_scale_makes_80_percent_of_normal_errors_lie_within_the_interval(said: float) -> None:
    random = np.random.default_rng(0)
    spreads = random.uniform(2, 10, 4000)
    mos = 50 + spreads * random.standard_normal(4000)
    found = spread_of(mos.tolist(), [_prediction(50, said * spread) for spread in spreads], std_scale=1)
    assert found is not None and found.videos == 4000
    assert found.std_scale == pytest.approx(1 / said, rel=0.03)
    again = spread_of(mos.tolist(), [_prediction(50, s * said * found.std_scale) for s in spreads], 1)
    assert again is not None and again.coverage == pytest.approx(0.8, abs=0.001)
    assert "80% of the scores lie within 1.28" in spread_line(again)


def test_scales_multiply_and_predictions_without_a_spread_are_left_out() -> None:
    found = spread_of([60, 40, 0], [_prediction(50, 5), _prediction(50, 5), _prediction(50, None)], 2.0)
    assert found is not None and found.videos == 2
    assert found.std_scale == pytest.approx(2 * 2 / REACH)
    assert spread_of([60], [_prediction(50, None)], 1) is None


def test_a_run_is_calibrated_once_and_for_all(tmp_path: Path) -> None:
    store, split = make_features(tmp_path)
    folder = train(tmp_path, "run").folder
    trained = load_trained(folder)
    reader = FeatureReader(store, trained.settings.dataset, trained.settings.pipeline.branches)
    videos = [reader.read(label.video) for label in split["val"]]
    before = trained.predict(videos)
    spread = calibrate(trained, spread_of([label.mos for label in split["val"]], before, 1.0))
    for place in (folder, trained.checkpoint):
        after = load_trained(place).predict(videos)
        assert [found.score for found in after] == [found.score for found in before]
        for old, new in zip(before, after, strict=True):
            assert old.std is not None and new.std == pytest.approx(old.std * spread.std_scale)
            assert new.answers["score"].std == new.std
    assert read_run(folder / RUN).settings == read_run(trained.checkpoint / CONFIG).settings
    train(tmp_path, "run")  # it is still the same run, and finished
    assert read_run(folder / RUN).settings.pipeline.std_scale == spread.std_scale != 1
    with pytest.raises(EvaluationError, match="no standard deviations"):
        calibrate(trained, None)
    with pytest.raises(EvaluationError, match="no error at all"):
        calibrate(trained, spread_of([50, 60], [_prediction(50, 5), _prediction(60, 5)], 1.0))


def test_what_a_run_has_learnt_from_does_not_calibrate_it() -> None:
    with pytest.raises(EvaluationError, match=r"--split train: errors .* are too small"):
        CliRunner().invoke(app, ["calibrate", "run", "--split", "train"], catch_exceptions=False)
