"""`[ablations.NAME]`: variants of one pipeline, trained and tested on the same videos."""

from pydantic import Field

from config.schema.entry import Entry
from config.schema.pipelines import PipelineSettings


class AblationSettings(Entry):
    """A study of what a change does: each cell is the pipeline with some settings changed."""

    name: str
    title: str
    """What varies, in a few words."""
    pipeline: str
    """What the cells change; a cell that `extends` another pipeline changes that one."""
    protocol: str
    """How each cell is trained and tested; its own `pipelines` are left aside."""
    cells: dict[str, PipelineSettings] = Field(min_length=1)
    """Name → pipeline. In the file, a table of the settings that differ: of `branches`, `training`, …; an
    empty one is the pipeline as it is, whose runs all ablations by the same protocol share."""
