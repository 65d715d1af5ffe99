"""One self-contained HTML page about several methods: a comparison, a protocol, an ablation."""

from pathlib import Path

from evaluate.report.material import StudyPage
from evaluate.report.shell import render_page, short_and_long, write_page
from train.saving.folder import writing


def write_study(path: Path, page: StudyPage) -> None:
    """Write the page, its folder too if need be. The same material gives the same bytes.

    Raises RunError where the disk refuses.
    """
    with writing(path):
        write_page(path, render_study(page))


def render_study(page: StudyPage) -> str:
    """The page as text."""
    short, long = short_and_long(page.provenance)
    figures = [figure for section in page.sections for figure in section.figures]
    return render_page("study.html.jinja", figures, page.videos, page.told, page=page, short=short, long=long)
