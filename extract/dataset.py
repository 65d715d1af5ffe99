"""Which videos of a dataset there are to extract, and which labels have none."""

from pathlib import Path

from config.schema import DatasetSettings
from extract.errors import NoVideos
from store.dataset import labels_of
from store.resolve import Coverage, find_videos, resolve


def labelled_videos(dataset: DatasetSettings) -> Coverage[Path]:
    """Every label's video file, with the labels and files that found no partner.

    Raises NoVideos, with directions, where the folder of videos is absent or holds none of the labelled
    ones, and what `labels_of` and `resolve` raise.
    """
    labels = labels_of(dataset)
    if not dataset.videos.is_dir():
        raise NoVideos(_directions(dataset, f"{dataset.videos} is not there"))
    coverage = resolve([label.video for label in labels], find_videos(dataset.videos))
    if not coverage.found:
        example = f"no file is named like its {len(labels)} labels, such as {labels[0].video}"
        raise NoVideos(_directions(dataset, f"in {dataset.videos}, {example}"))
    return coverage


def _directions(dataset: DatasetSettings, found: str) -> str:
    return (
        f"the videos of {dataset.name} are missing: {found}\n"
        f"  get them from: {dataset.source}\n"
        f"  put them in {dataset.videos}/ (any subfolders), or --set datasets.{dataset.name}.videos=FOLDER\n"
        "  to see everything run without any of it: make demo"
    )
