"""The JavaScript that draws the charts (Vega, Vega-Lite, Vega-Embed) in one piece, as installed."""

import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

import vl_convert

from store.durable.commit import make_folders, write_file

VEGA_LITE = "6.4"
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


@cache
def vega_bundle() -> str:
    """The script, safe within `<script>`; it loads nothing.

    Putting it together takes some seconds, so that it is kept in the user's cache folder.
    """
    path = _cache_folder() / f"vega-lite-{VEGA_LITE}-vl-convert-{version('vl-convert-python')}.js"
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        bundle = _made()
        _keep(path, bundle)
        return bundle


def _made() -> str:
    # Within strings of JavaScript, `<\/` is `</`.
    return vl_convert.javascript_bundle(_SNIPPET, vl_version=VEGA_LITE).replace("</script", "<\\/script")


def _keep(path: Path, bundle: str) -> None:
    try:
        make_folders(path.parent)
        write_file(path, bundle.encode())
    except OSError:
        return  # without a home that can be written to, it is made again


def _cache_folder() -> Path:
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "lmm-vqa"
