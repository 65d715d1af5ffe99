"""`[store]` and `[datasets.NAME]`: where features, videos and opinion scores are, and how these are split."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from config.schema.entry import Entry


class StoreSettings(Entry):
    """Where features are kept."""

    path: Path
    backend: Literal["zarr", "hdf5"] = "zarr"
    """What new parts are written as; parts of all kinds are read."""


_OF_SCORES = (
    *("video_names", "folds", "video_column", "mos_column", "split_column", "spread_column"),
    *("raters_column", "rater_column", "score_columns", "not_rated", "exclude", "aligned", "group"),
)


class AlignmentSettings(Entry):
    """How a dataset's opinion scores lie on a scale that several datasets share.

    The impairment, which is 0 at the best end of `mos_range` and 1 at the worst, becomes
    `intercept + slope * impairment`: the terms of Pinson and Wolf's iterated nested least squares (INLSA, "An
    objective method for combining multiple subjective data sets", SPIE VCIP 2003), by which VIDEVAL joins
    three datasets.
    """

    slope: float = Field(gt=0)
    intercept: float


class DatasetSettings(Entry):
    """Videos, their opinion scores and how they are split."""

    name: str
    videos: Path
    """Folder that is searched, with its subfolders, for the videos."""
    labels: Path | dict[str, Path]
    """One label file (delimited text, .xlsx, .json, .jsonl, .mat), or one for each split: `train`, `test` and
    any further test set by its name."""
    conversations: bool = False
    """Labels are conversations, which are trained on as they stand, whatever a pipeline's tasks: JSON, JSONL,
    or the folder of a Hugging Face dataset; those for no split are all trained on."""
    video_names: Path | dict[str, Path] | None = None
    """A file that names the videos of a label file that names none, row by row (MaxWell); where there is a
    label file for each split, by the splits' names."""
    folds: Path | tuple[Path, ...] | None = None
    """Published folds: files that each name the videos of one, or a pattern such as `./five/*_ds.json`."""
    video_column: str | None = None
    mos_column: str | None = None
    split_column: str | None = None
    spread_column: str | None = None
    raters_column: str | None = None
    """Columns to read where they are not recognised by themselves. The spread of the single opinions is a
    standard deviation, a variance (`var…`) or half a 95 % interval (`…ci…`, which needs the raters)."""
    rater_column: str | None = None
    """Who gave a row's score, where each video has a row for each rater: their mean is the opinion score."""
    score_columns: tuple[str, ...] = ()
    """The same where each rater has a column: their names, or patterns such as `subject*`."""
    not_rated: tuple[float, ...] = ()
    """Numbers in the place of scores that mean that there is none, such as -1."""
    exclude: tuple[str, ...] | Path = ()
    """Videos that are left out of everything: their names, or a file that lists them."""
    mos_range: tuple[float, float]
    """(worst, best) of the dataset's own opinion scale; [100, 0] where lower is better, as for DMOS. Of
    `conversations`, which have no scores, it is left out."""
    aligned: AlignmentSettings | None = None
    """What lays the scores on a scale that other datasets share; None takes `mos_range` for 0–100."""
    group: str | None = None
    """Content groups, which no split may divide: a column of the label file, or a regular expression
    whose first group is taken from the video's id."""
    minimum_chunks: int = Field(1, ge=1)
    """Shorter videos repeat their last chunk up to so many when features are read, as MinimalisticVQA does
    (8 for LSVQ and KoNViD-1k, 10 for LIVE-VQC and LIVE-YT-Gaming, 20 for YouTube-UGC)."""
    without: tuple[str, ...] = ()
    """Branches of which this dataset's videos get no tokens, as LMM-VQA's released code gives KoNViD-1k and
    YouTube-UGC no motion."""
    validation_share: float = Field(0.1, ge=0, lt=1)
    test_share: float = Field(0.2, ge=0, lt=1)
    """Shares of the videos, used where the label files do not split them. A video's part follows from its
    name and the seed alone, so that sizes are approximate and additions move no other video."""
    split_seed: int = 0
    source: str
    """Where to get the videos and labels: printed when they are absent."""

    @property
    def sample(self) -> str:
        """What one label is of: a video, or a conversation."""
        return "conversation" if self.conversations else "video"

    @model_validator(mode="before")
    @classmethod
    def _conversations_have_no_scores(cls, table: Any) -> Any:
        if isinstance(table, dict) and table.get("conversations") and "mos_range" not in table:
            return {**table, "mos_range": (0, 100)}
        return table

    @field_validator("mos_range")
    @classmethod
    def _range_has_two_ends(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if ends[0] == ends[1]:
            raise ValueError(f"expected (worst, best), two different numbers, not {ends}")
        return ends

    @model_validator(mode="after")
    def _files_and_columns_agree(self) -> Self:
        if self.score_columns and (self.rater_column or self.mos_column):
            raise ValueError("score_columns has one for each rater: expected no rater_column or mos_column")
        if self.conversations:
            fields = type(self).model_fields
            for name in (name for name in _OF_SCORES if getattr(self, name) != fields[name].default):
                raise ValueError(f"{name} is for opinion scores, which conversations have not: leave it out")
        labels, names = self.labels, self.video_names
        if isinstance(labels, dict) and isinstance(names, dict):
            fits = names.keys() <= labels.keys()
        else:
            fits = names is None or isinstance(labels, Path) == isinstance(names, Path)
        if not fits:
            raise ValueError("expected video_names to be one file, or files by the names that labels has")
        return self
