"""`[store]` and `[datasets.NAME]`: where features, videos and opinion scores are, and how these are split."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from config.schema.entry import Entry


class StoreSettings(Entry):
    """Where features are kept."""

    path: Path
    backend: Literal["zarr", "hdf5"] = "zarr"
    """What new parts are written as; parts of all kinds are read."""


class DatasetSettings(Entry):
    """Videos, their opinion scores and how they are split."""

    name: str
    videos: Path
    """Folder that is searched, with its subfolders, for the videos."""
    labels: Path | dict[str, Path]
    """One label file (delimited text, .xlsx, .json, .mat), or one for each split: `train`, `test` and any
    further test set by its name."""
    video_column: str | None = None
    mos_column: str | None = None
    split_column: str | None = None
    spread_column: str | None = None
    raters_column: str | None = None
    """Columns to read where they are not recognised by themselves. The spread of the single opinions is a
    standard deviation, a variance (`var…`) or half a 95 % interval (`…ci…`, which needs the raters)."""
    mos_range: tuple[float, float]
    """(worst, best) of the dataset's own opinion scale; [100, 0] where lower is better, as for DMOS."""
    group: str | None = None
    """Content groups, which no split may divide: a column of the label file, or a regular expression
    whose first group is taken from the video's id."""
    minimum_chunks: int = Field(1, ge=1)
    """Shorter videos repeat their last chunk up to so many when features are read, as MinimalisticVQA does
    (8 for LSVQ and KoNViD-1k, 10 for LIVE-VQC and LIVE-YT-Gaming, 20 for YouTube-UGC)."""
    validation_share: float = Field(0.1, ge=0, lt=1)
    test_share: float = Field(0.2, ge=0, lt=1)
    """Shares of the videos, used where the label files do not split them. A video's part follows from its
    name and the seed alone, so that sizes are approximate and additions move no other video."""
    split_seed: int = 0
    source: str
    """Where to get the videos and labels: printed when they are absent."""

    @field_validator("mos_range")
    @classmethod
    def _range_has_two_ends(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if ends[0] == ends[1]:
            raise ValueError(f"expected (worst, best), two different numbers, not {ends}")
        return ends
