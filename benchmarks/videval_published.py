"""How far our VIDEVAL features are from published ones, number by number, and what that does to scores.

    python benchmarks/videval_published.py FEATURES LABELS clip.mp4=10053703034 … [--run RUN]

FEATURES: the folder of the published *_feats.mat; LABELS: of the label files; each video is named with the id
of its row in KONVID_1K_metadata.csv. The scores are by the embedded model (or RUN) and by an RBF-SVR that has
learnt from all three datasets but these videos.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1]))

from config.load import DEFAULT_FILE, EMBEDDED_MODEL, load_settings
from demo.opinions import with_labels_from
from demo.published import MATRICES, import_published
from evaluate.protocols.svr import svr_scores
from evaluate.scoring.model import load_trained
from extract.encoders.registry import build_encoder
from extract.encoders.videval.pooling import NAMES
from extract.errors import UnreadableVideo
from extract.run.extractor import extract_features
from store.features import FeatureStore
from store.labels.dataset import grouped_labels
from store.labels.files import MosScale

DATASET = "KoNViD-1k"
ENCODER = "videval-still"


def main() -> None:
    """Compare, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("videos", nargs="+", metavar="VIDEO=ID")
    parser.add_argument("--run", default=EMBEDDED_MODEL, type=Path)
    options = parser.parse_args()
    videos = {name: Path(path) for path, name in (each.rsplit("=", 1) for each in options.videos)}
    settings = with_labels_from(options.labels, load_settings(DEFAULT_FILE))
    encoder = settings.encoders[ENCODER]
    pipeline = settings.pipelines["opinions"]
    datasets = {name: pipeline.on_its_scale(settings.datasets[name]) for name in MATRICES}
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder))
        import_published(store, encoder, datasets, options.features)
        rows, scores = [], []
        for name, dataset in datasets.items():
            found = store.find(name, ENCODER)
            for label in grouped_labels(dataset):
                if label.video not in videos:
                    rows.append(found.read(label.video, "features")[:, 0].mean(axis=0))
                    scores.append(MosScale.of(dataset).to_100(label.mos))
        found = store.find(DATASET, ENCODER)
        published = {name: found.read(name, "features")[:, 0].mean(axis=0) for name in videos}
    own, still = {}, []
    extracted = extract_features(list(videos.values()), {ENCODER: build_encoder(encoder)})
    for name, outcome in zip(videos, extracted, strict=True):
        if isinstance(outcome, UnreadableVideo):
            raise SystemExit(str(outcome))
        streams = outcome.features[ENCODER]
        own[name] = streams["features"][:, 0].astype(np.float64).mean(axis=0)
        still += [np.zeros(1), streams["still"][:, 0].mean(axis=0)]  # the matrix does not say: as in training
    differences = {name: np.abs(own[name] - published[name]) / np.abs(published[name]) for name in videos}
    largest = np.max(list(differences.values()), axis=0)
    table = [[NAMES[i], largest[i]] for i in np.argsort(-largest) if largest[i] > 1e-6]
    print(tabulate(table, ["number", "largest difference"], floatfmt=".1e", tablefmt="github"))
    print(f"all others: at most {largest[largest <= 1e-6].max():.1e}\n")
    vectors = np.stack([vector for name in videos for vector in (published[name], own[name])])
    by_svr = svr_scores(np.stack(rows), scores, vectors, [str(row) for row in range(len(rows))])
    trained = load_trained(options.run, "cpu")
    branches = {name: branch.stream for name, branch in trained.settings.pipeline.branches.items()}
    given = [
        {
            name: torch.tensor(pair[stream], dtype=torch.float32)[None, None]
            for name, stream in branches.items()
        }
        for pair in ({"features": v, "still": s} for v, s in zip(vectors, still, strict=True))
    ]
    by_model = [found.score for found in trained.predict(given)]
    lines = [
        [name, *by_svr[2 * n : 2 * n + 2], *by_model[2 * n : 2 * n + 2]] for n, name in enumerate(videos)
    ]
    headers = ["video", "SVR, published", "SVR, ours", "model, published", "model, ours"]
    print(tabulate(lines, headers, floatfmt=".2f", tablefmt="github"))


if __name__ == "__main__":
    main()
