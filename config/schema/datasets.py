"""`[datasets.NAME]`: where videos and opinion scores are, and how they are read and split."""

from pathlib import Path

from pydantic import Field, model_validator

from config.schema.entry import Entry


class DatasetSettings(Entry):
    """Videos, their opinion scores and how they are split."""

    name: str
    videos: Path
    """Folder that is searched, with its subfolders, for the videos."""
    labels: Path | dict[str, Path]
    """One label file, or one for each split: `train`, `test` and any further test set by its name."""
    video_column: str | None = None
    mos_column: str | None = None
    """Columns to read where the layout is not recognised by itself."""
    mos_range: tuple[float, float]
    """(worst, best) of the dataset's own opinion scale."""
    group: str | None = None
    """Content groups, which no split may divide: a column of the label file, or a regular expression
    whose first group is taken from the video's id."""
    minimum_chunks: int = Field(1, ge=1)
    """Shorter videos repeat their last chunk up to so many when features are read, as MinimalisticVQA does
    (8 for LSVQ and KoNViD-1k, 10 for LIVE-VQC and LIVE-YT-Gaming, 20 for YouTube-UGC)."""
    validation_share: float = Field(0.1, ge=0, lt=1)
    test_share: float = Field(0.2, ge=0, lt=1)
    """Shares of the videos, used where the label files do not split them."""
    split_seed: int = 0
    source: str
    """Where to get the videos and labels: printed when they are absent."""

    @model_validator(mode="after")
    def _range_rises(self) -> "DatasetSettings":
        if self.mos_range[0] >= self.mos_range[1]:
            raise ValueError(f"mos_range must be (worst, best) with worst < best, not {self.mos_range}")
        return self
