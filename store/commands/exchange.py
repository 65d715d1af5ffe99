"""`python -m store import` and `export`: the way in and out for other programs."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from tqdm import tqdm

from config import cli
from config.errors import count, refusing
from store.commands.options import SetName, StoreFolder, find_set, open_store, print_some
from store.errors import ExportFailed
from store.exchange.source import ExportFormat, ImportFormat, Options


def import_features(
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
    from store.exchange import importing

    def progress(names: Sequence[str], task: str) -> Iterable[str]:
        return tqdm(names, desc=task, disable=json or not names)

    options = Options(key, ids, pattern, join, missing, digest)
    with importing.open_source(source, options, format, progress) as opened:
        done = importing.import_features(open_store(store), dataset, encoder, opened, strict, progress)
    name = done.features.name
    if json:
        facts = {key: value for key, value in vars(done).items() if key not in ("features", "quarantined")}
        refused = {video: vars(fault) for video, fault in done.quarantined.items()}
        where = {"name": name, "path": done.features.location}
        cli.print_json({**where, **facts, "quarantined": refused})
        return
    if done.new:
        print(f"imported {count(done.new, 'video')}: {name}")
    else:
        print(f"already imported ({count(done.videos - len(done.quarantined), 'video')}): {name}")
    if done.imputed:
        cells = count(sum(map(len, done.imputed.values())), "missing value")
        print(f"{cells} (NaN) replaced by the median of the column, in {count(len(done.imputed), 'video')}:")
        print_some([f"{video}: column {', '.join(map(str, c))}" for video, c in done.imputed.items()])
    if done.quarantined:
        print(f"{count(len(done.quarantined), 'video')} in quarantine:")
        print_some([f"{video}: {fault.reason}" for video, fault in done.quarantined.items()])
    if done.passed_over:
        print(f"{count(len(done.passed_over), 'array')} passed over:")
        print_some([f"{array}: {reason}" for array, reason in done.passed_over.items()])


def export_features(
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
    listed = None
    if videos is not None:
        with refusing(ExportFailed, f"{videos} cannot be read as UTF-8 text"):
            lines = videos.read_text(encoding="utf-8-sig").split("\n")
        listed = [line for line in lines if line.strip()]
    progress = partial(tqdm, desc=features.name, unit="video", disable=json)
    number = export(features, folder, format, listed, progress)
    if json:
        facts = {"name": features.name, "folder": str(folder), "format": format, "videos": number}
        cli.print_json(facts)
    else:
        print(f"exported {count(number, 'video')}, {count(len(features.streams), 'stream')}: {folder}")
