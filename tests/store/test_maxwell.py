"""MaxWell's dimensions, and names from another file."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from config.schema import DatasetSettings
from store.labels.columns import Columns
from store.labels.dataset import labels_of
from store.labels.errors import LabelLayoutError, LabelsMissingError
from store.labels.files import Label
from store.labels.merging import read_labels


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def settings(labels: Path, **changes: object) -> DatasetSettings:
    known = {"name": "own", "videos": Path("videos"), "mos_range": (1, 5), "source": "https://example.org"}
    return DatasetSettings.model_validate(known | {"labels": labels} | changes)


@pytest.fixture
def maxwell_names(shared_data: Path, tmp_path: Path) -> Path:
    """MaxWell's names in the layout of its own list, `path, -1, -1, score`, from the predictions' file."""
    scored = read_labels(shared_data / "predictions/maxvqa_val-maxwell.csv")
    return written(tmp_path / "list.txt", "".join(f"{row.written}, -1, -1, {row.mos}\n" for row in scored))


def test_maxwells_overall_opinion_is_the_score_and_its_dimensions_are_numbers(
    shared_data: Path, maxwell_names: Path
) -> None:
    file = shared_data / "labels/MaxWell/MaxWell_val.csv"
    labels = labels_of(settings(file, video_names=maxwell_names))
    listed = read_labels(maxwell_names)
    assert [label.video for label in labels] == [label.video for label in listed] and len(labels) == 909
    assert (labels[0].video, labels[0].mos) == ("0000", 1.028571429)
    kinds = [*(f"A-{i}" for i in range(1, 6)), "A-all", *(f"T-{i}" for i in range(1, 9)), "T-all"]
    assert all(list(label.extra) == kinds for label in labels)
    by_name = labels_of(settings(file, video_names=maxwell_names, mos_column="T-1", mos_range=(-1, 1)))
    assert [label.mos for label in by_name] == [float(label.extra["T-1"]) for label in labels]
    assert by_name[0].extra["O"] == "1.028571429"


def test_maxwells_scores_are_in_the_order_of_the_list(shared_data: Path, maxwell_names: Path) -> None:
    from scipy.stats import spearmanr

    labels = labels_of(settings(shared_data / "labels/MaxWell/MaxWell_val.csv", video_names=maxwell_names))
    listed = read_labels(maxwell_names)
    assert spearmanr([a.mos for a in labels], [b.mos for b in listed]).statistic > 0.9999


def test_names_are_taken_row_by_row_and_checked(tmp_path: Path) -> None:
    bare = written(tmp_path / "bare.csv", "O,T-1\n3.5,0.1\n4,\n")
    names = written(tmp_path / "names.txt", "a.mp4\nb.mp4\n")
    assert labels_of(settings(bare, video_names=names)) == [
        Label("a", 3.5, extra={"T-1": "0.1"}),
        Label("b", 4.0),
    ]
    split = settings({"train": bare}, video_names={"train": names})  # type: ignore[arg-type]
    assert [label.split for label in labels_of(split)] == ["train", "train"]
    with pytest.raises(LabelLayoutError, match=r"bare\.csv has none of the columns video.*it has: O, T-1"):
        read_labels(bare)
    written(names, "a.mp4\n")
    with pytest.raises(
        LabelLayoutError, match=r"names\.txt has 1 rows, .*bare\.csv has 2: expected one name"
    ):
        read_labels(bare, Columns(names=names))
    written(bare, "video,O\na,3\n")
    with pytest.raises(LabelLayoutError, match=r"bare\.csv names its videos in column 'video'.*not needed"):
        read_labels(bare, Columns(names=names))
    names.unlink()
    with pytest.raises(LabelsMissingError, match=r"labels of own are missing: .*names\.txt"):
        labels_of(settings(bare, video_names=names))


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": {"train": "a.csv"}, "video_names": {"test": "b.txt"}},
        {"video_names": {"test": "b.txt"}},
        {"score_columns": ["r*"], "mos_column": "mos"},
    ],
)
def test_settings_that_contradict_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="expected"):
        settings(**{"labels": Path("a.csv"), **changes})  # type: ignore[arg-type]
