"""`python -m store import` and `export`: the way in and out for other programs."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from tqdm import tqdm

from config import cli
from store.commands.options import SetName, StoreFolder, count, find_set, open_store
from store.errors import ExportFailed

_SHOWN = 10

ImportFormat = Literal["auto", "mat", "npy", "npy-folder", "hdf5", "safetensors"]
ExportFormat = Literal["npy", "hdf5", "safetensors"]


def register(app: typer.Typer) -> None:
    """Add the two commands."""
    app.command("import")(import_command)
    app.command("export")(export_command)


def import_command(
    source: Annotated[Path, typer.Argument(help="A file, a folder of .npy files, or an export.")],
    dataset: Annotated[str, typer.Option(help="The dataset they belong to.")],
    encoder: Annotated[str, typer.Option(help="A name for what made them.")],
    format: Annotated[
        ImportFormat, typer.Option(help="What the source is; auto: as its name says.")
    ] = "auto",
    key: Annotated[
        str | None, typer.Option(help="The matrix in a MATLAB or HDF5 file, one row a video.")
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            metavar="FILE[:COLUMN]",
            help="The videos of a matrix, in the order of its rows: CSV_FILE:COLUMN, H5_FILE:DATASET,"
            " or a text FILE with one id a line.",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="How the names of files, datasets or tensors are read, with {video}, {stream} and {chunk},"
            " such as '{video}/{stream}'."
        ),
    ] = None,
    join: Annotated[
        Literal["stack", "concatenate"] | None,
        typer.Option(help="With {chunk}: each array is one item (stack, usual), or holds several."),
    ] = None,
    missing: Annotated[
        Literal["median", "quarantine"] | None,
        typer.Option(
            help="NaN in a matrix: take the column's median (usual), or put the video in quarantine."
        ),
    ] = None,
    digest: Annotated[
        Literal["content", "listing"],
        typer.Option(
            help="What tells sources apart: all bytes, or, for huge ones, names, sizes and times of change."
        ),
    ] = "content",
    strict: Annotated[bool, typer.Option("--strict", help="Stop where a video is bad.")] = False,
    store: StoreFolder = None,
    json: cli.Json = False,
) -> None:
    """Import features that were made elsewhere; the same import twice changes nothing.

    A video that cannot be used is put in quarantine, and the others are imported.
    """
    from store.exchange.importing import import_features
    from store.exchange.registry import open_source
    from store.exchange.source import Options

    def progress(names: Sequence[str], task: str) -> Iterable[str]:
        return tqdm(names, desc=task, disable=json or not names)

    options = Options(key, ids, pattern, join, missing, digest)
    with open_source(source, options, format, progress) as opened:
        done = import_features(open_store(store), dataset, encoder, opened, strict, progress)
    faults = {video: vars(fault) for video, fault in done.quarantined.items()}
    if json:
        facts = {"videos": done.videos, "new": done.new, "quarantined": faults, "imputed": done.imputed}
        where = {"name": done.features.name, "path": str(done.features.path)}
        cli.print_json({**where, **facts, "passed_over": done.passed_over})
        return
    held = done.videos - len(faults)
    if done.new:
        print(f"imported {count(done.new, 'video')}: {done.features.name}")
    else:
        print(f"already imported ({count(held, 'video')}): {done.features.name}")
    if done.imputed:
        cells = count(sum(map(len, done.imputed.values())), "missing value")
        print(f"{cells} (NaN) replaced by the median of the column, in {count(len(done.imputed), 'video')}:")
        _print_some({v: f"column {', '.join(map(str, columns))}" for v, columns in done.imputed.items()})
    if faults:
        print(f"{count(len(faults), 'video')} in quarantine:")
        _print_some({video: fault["reason"] for video, fault in faults.items()})
    if done.passed_over:
        print(f"{count(len(done.passed_over), 'array')} passed over:")
        _print_some(done.passed_over)


def export_command(
    name: SetName,
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    format: Annotated[
        ExportFormat,
        typer.Option(
            help="npy: a file for each video and stream; hdf5: features.h5, a group for each video;"
            " safetensors: shards, keys VIDEO/STREAM. manifest.json says what lies where."
        ),
    ] = "npy",
    videos: Annotated[
        Path | None, typer.Option(help="Only the videos in this text file, one id a line.")
    ] = None,
    store: StoreFolder = None,
    json: cli.Json = False,
) -> None:
    """Export a feature set for other programs; `import` takes it back, bit for bit."""
    from store.exchange.exporting import export

    features = find_set(open_store(store), name)
    progress = partial(tqdm, desc=features.name, unit="video", disable=json)
    number = export(features, folder, format, _listed(videos) if videos else None, progress)
    if json:
        facts = {"name": features.name, "folder": str(folder), "format": format, "videos": number}
        cli.print_json(facts)
    else:
        print(f"exported {count(number, 'video')}, {count(len(features.streams), 'stream')}: {folder}")


def _listed(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportFailed(f"{file} cannot be read as UTF-8 text: {error}") from None
    return [line for line in lines if line.strip()]


def _print_some(reasons: dict[str, str]) -> None:
    for name, reason in list(reasons.items())[:_SHOWN]:
        print(f"  {name}: {reason}")
    if len(reasons) > _SHOWN:
        print("  … (--json lists all)")
