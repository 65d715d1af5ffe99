"""What every page is: one HTML file with styles, scripts, data and pictures inside; it fetches nothing."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluate.report.bundle import vega_bundle
from evaluate.report.figures import VIDEOS, Figure
from store.durable.commit import make_folders, write_file

_HERE = Path(__file__).parent


def render_page(
    template: str,
    figures: Sequence[Figure],
    videos: Sequence[Mapping[str, Any]],
    told: Mapping[str, str],
    **material: object,
) -> str:
    """A template that extends shell.html.jinja, as text.

    `videos`: rows that several figures share, by the name VIDEOS; `told`: key of a row → what it is called
    where a mark is tapped. Texts are escaped, and the page's content security policy lets none but its own
    two scripts run.
    """
    own_script = (_HERE / "page.js").read_text(encoding="utf-8")
    charts = {figure.name: figure.as_vega_lite() for figure in figures}
    return (
        _environment()
        .get_template(template)
        .render(
            **material,
            style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
            bundle=Markup(vega_bundle()),
            script=Markup(own_script),
            data=Markup(inline_json({"charts": charts, VIDEOS: list(videos), "told": dict(told)})),
            hashes=[_hash(vega_bundle()), _hash(own_script)],
        )
    )


def write_page(path: Path, page: str) -> None:
    """Write the page whole or not at all, its folder too if need be."""
    make_folders(path.parent)
    write_file(path, page.encode(errors="backslashreplace"))


def inline_json(value: object) -> str:
    """JSON that may stand within `<script>`: no text in it can end the element, or open a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def short_and_long(provenance: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """What fits on a line, and what is nested, as JSON that folds away."""
    nested = {
        key: value for key, value in provenance.items() if isinstance(value, Mapping | list | tuple) and value
    }
    return (
        {key: str(value) for key, value in provenance.items() if key not in nested},
        {key: json.dumps(value, indent=2, ensure_ascii=False, default=str) for key, value in nested.items()},
    )


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _hash(script: str) -> str:
    """As a content security policy names a script that may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
