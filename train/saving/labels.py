"""What the labels said of a run's videos when it was begun: labels.json in its folder."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, TypeAdapter

from config.errors import refusing
from config.schema import Entry
from store.care.difference import changes
from store.durable.commit import write_file
from store.labels.dataset import Record, label_changes
from train.answers.forms import Value
from train.errors import RunError

FILE = "labels.json"


class Labelled(Entry):
    """What the labels said of a dataset's videos when a run was begun."""

    videos: dict[str, Record]
    """Those that have features, by split, in the order of training."""
    missing: dict[str, list[str]]
    """Split → labelled videos without features."""
    answers: dict[str, dict[str, Value]] = Field(default_factory=dict)
    """Task that asks for a column of the labels → video → what stands there."""

    @property
    def split(self) -> dict[str, list[str]]:
        """Split → its videos with features."""
        return {
            part: [video for video, record in self.videos.items() if record[1] == part]
            for part in self.missing
        }

    def differences(self, before: "Labelled | None") -> list[str]:
        """A line for each kind of change since then; before, there may have been no such dataset."""
        known = before or Labelled(videos={}, missing={})
        lines = label_changes(known.videos, self.videos)
        if not lines and list(known.videos) != list(self.videos):
            lines = ["the order of its videos differs"]
        return lines + (changes(known.answers, self.answers) if before else [])


_LABELLED = TypeAdapter(dict[str, Labelled])


def write_labels(folder: Path, labels: Mapping[str, Labelled]) -> None:
    """Write them durably; dataset → what its labels say."""
    write_file(folder / FILE, _LABELLED.dump_json(dict(labels)))


def load_labels(folder: Path) -> dict[str, Labelled]:
    """What the labels said when a run was begun, by dataset. Raises RunError where that is not recorded."""
    with refusing(RunError, f"{folder / FILE}, which says what videos are of which split, cannot be read"):
        return _LABELLED.validate_json((folder / FILE).read_bytes())
