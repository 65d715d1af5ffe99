"""The field's usual baseline: a support vector regressor on a video's mean features."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVR

from train.data.reader import FeatureReader

# Within VIDEVAL's ranges, turned from scores of 1–5 to points of 0–100; gamma, from 60 features to one.
_COSTS = (50.0, 200.0, 800.0)
_GAMMAS = (2.0, 4.0, 8.0, 16.0)
_MARGIN = 2.5
_FOLDS = 3


def video_means(reader: FeatureReader, videos: Sequence[str]) -> NDArray[np.float64]:
    """[videos, features]: every branch's tokens, averaged over the chunks."""
    rows = []
    for video in videos:
        read = reader.read(video)  # beside the branches, marks of when their items begin
        tokens = [read[branch] for branch in reader.branches if branch in read]
        rows.append(np.concatenate([each.double().mean(dim=0).flatten().numpy() for each in tokens]))
    return np.stack(rows)


def svr_scores(
    train: NDArray[np.float64], scores: Sequence[float], test: NDArray[np.float64], groups: Sequence[str]
) -> NDArray[np.float64]:
    """Predicted scores on 0–100 of the test rows [videos, features], as VIDEVAL's evaluation makes them.

    An RBF-SVR on features scaled to 0–1 (Tu et al., IEEE TIP 2021). Its cost and gamma are those of the least
    squared error over three folds of the training rows, which do not divide their content `groups`.
    """
    model = make_pipeline(MinMaxScaler(), SVR(kernel="rbf", epsilon=_MARGIN))
    grid = {"svr__C": _COSTS, "svr__gamma": [gamma / train.shape[1] for gamma in _GAMMAS]}
    folds = GroupKFold(min(_FOLDS, len(set(groups))), shuffle=True, random_state=0)
    search = GridSearchCV(model, grid, cv=folds, scoring="neg_mean_squared_error", n_jobs=1)
    return np.asarray(search.fit(train, scores, groups=groups).predict(test), dtype=np.float64)
