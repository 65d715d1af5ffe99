"""The field's usual baseline: a support vector regressor on a video's mean features."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from train.data.reader import FeatureReader

_GRID = {"svr__C": [3.0, 10.0, 30.0, 100.0, 300.0], "svr__gamma": [0.0003, 0.001, 0.003, 0.01, 0.03]}


def video_means(reader: FeatureReader, videos: Sequence[str]) -> NDArray[np.float64]:
    """[videos, features]: every branch's tokens, averaged over the chunks."""
    rows = []
    for video in videos:
        branches = reader.read(video).values()
        rows.append(np.concatenate([tokens.double().mean(dim=0).flatten().numpy() for tokens in branches]))
    return np.stack(rows)


def svr_scores(
    train: NDArray[np.float64], scores: Sequence[float], test: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Predicted scores of the test rows: RBF-SVR, C and gamma by 5-fold grid search on the training rows."""
    model = make_pipeline(StandardScaler(), SVR(kernel="rbf", epsilon=3.0))
    search = GridSearchCV(model, _GRID, cv=5, scoring="neg_mean_squared_error")
    return np.asarray(search.fit(train, scores).predict(test), dtype=np.float64)
