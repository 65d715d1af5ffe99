"""`python -m store`: what is stored, whether it is whole, and the way in and out for other programs."""

import json as json_text
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate
from tqdm import tqdm

from config import cli
from config.load import DEFAULT_FILE, load_settings
from store.errors import FeaturesNotFound, ImportFailed, StoreError
from store.feature_set import FeatureSet
from store.features import FeatureStore
from store.summary import coverage, summary

app = cli.command_app("Look at, check, import and export stored features.")

_SHOWN = 10

StoreFolder = Annotated[
    Path | None, typer.Option("--store", help="The store's folder; that of pipelines.toml where not given.")
]
SetName = Annotated[str, typer.Argument(metavar="SET", help="DATASET/ENCODER, or DATASET/ENCODER@KEY.")]


@app.command("ls")
def list_sets(store: StoreFolder = None, json: cli.Json = False) -> None:
    """List the feature sets."""
    opened = _open(store)
    sets, faults = [], []
    for path in opened.paths():
        try:
            sets.append(summary(opened.open(path)))
        except StoreError as error:
            faults.append(str(error))
    if json:
        cli.print_json({"store": str(opened.root), "feature_sets": sets, "faults": faults})
    elif sets:
        rows = [
            [s["name"], s["videos"], _size(s["bytes"]), s["quarantined"], s["committed"] or "–"] for s in sets
        ]
        headers = ["feature set", "videos", "size", "quarantined", "last written"]
        print(tabulate(rows, headers, intfmt=",", colalign=("left", "right", "right", "right", "left")))
    elif not faults:
        print(f"{opened.root} holds no features yet: `python -m extract` makes them")
    _fail_with(faults)


@app.command()
def show(
    name: SetName,
    labels: Annotated[
        Path | None, typer.Option(help="A label file: say which of its videos are missing.")
    ] = None,
    store: StoreFolder = None,
    json: cli.Json = False,
) -> None:
    """Show the specification behind a key, its streams, counts and quarantine."""
    features = _find(_open(store), name)
    shown = summary(features)
    meeting = coverage(features, labels) if labels else None
    if json:
        entries = [vars(entry) for entry in features.quarantine.entries()]
        extra = {"specification": features.specification, "quarantine": entries}
        cli.print_json(shown | extra | ({"labels": meeting.to_json()} if meeting else {}))
        return
    facts = [
        ["feature set", shown["name"]],
        ["folder", shown["path"]],
        ["videos", f"{shown['videos']:,}"],
        ["subset hash", shown["subset_hash"]],
        ["size", f"{_size(shown['bytes'])} in {_count(shown['parts'], 'part')}"],
        ["last written", shown["committed"] or "–"],
        ["with warnings", f"{shown['with_warnings']:,}"],
    ]
    print(tabulate(facts, tablefmt="plain", disable_numparse=True))
    if features.streams:
        print("\n" + tabulate(_stream_rows(features), ["stream", "item", "dtype", "items"], intfmt=","))
    print("\nspecification " + json_text.dumps(features.specification, indent=2, ensure_ascii=False))
    refused = features.quarantine.entries()
    if refused:
        rows = [[entry.video, entry.error_type, entry.reason] for entry in refused]
        print(f"\n{_count(len(refused), 'video')} in quarantine")
        print(
            tabulate(rows, ["video", "error", "reason"], maxcolwidths=[40, None, 80], disable_numparse=True)
        )
    if meeting:
        print(f"\n{labels}: {meeting.report()}")
    _fail_with(shown["faults"])


@app.command()
def verify(
    name: Annotated[str | None, typer.Argument(metavar="[SET]", help="One set; all where not given.")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Check only this many videos of each set.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which sample.")] = 0,
    store: StoreFolder = None,
    json: cli.Json = False,
) -> None:
    """Compare stored features with their checksums; exit with status 1 where anything is damaged."""
    from store.verify import verify as verify_set

    opened = _open(store)
    checked, found, faults = {}, [], []
    for path in opened.paths() if name is None else [_find(opened, name).path]:
        try:
            features = opened.open(path)
            bar = partial(tqdm, desc=features.name, unit="video", disable=json)
            damages = verify_set(features, sample, seed, bar)
        except StoreError as error:
            faults.append(str(error))
            continue
        checked[features.name] = min(sample or len(features), len(features))
        found += [{"feature_set": features.name, **vars(damage)} for damage in damages]
    if json:
        cli.print_json({"videos_checked": checked, "damages": found, "faults": faults})
    else:
        for damage in found:
            where = [damage["feature_set"], damage["part"], damage["video"], damage["stream"]]
            print(f"damaged: {' · '.join(part for part in where if part)}: {damage['reason']}")
        scope = f"{_count(sum(checked.values()), 'video')} of {_count(len(checked), 'feature set')} checked"
        print(f"{scope}, {_count(len(found), 'damage') if found else 'all whole'}")
        if found:
            print("Delete a damaged part with its .json beside it, and extract its videos again.")
    _fail_with(faults, failed=bool(found))


@app.command("import")
def import_features(
    file: Annotated[Path, typer.Argument(help="A MATLAB file.")],
    key: Annotated[str, typer.Option(help="The matrix in it, one row a video.")],
    ids: Annotated[str, typer.Option(help="CSV_FILE:COLUMN with the videos' ids, in the order of the rows.")],
    dataset: Annotated[str, typer.Option(help="The dataset they belong to.")],
    encoder: Annotated[str, typer.Option(help="A name for what made them.")],
    store: StoreFolder = None,
    json: cli.Json = False,
) -> None:
    """Import a feature matrix that was made elsewhere."""
    from store.imports import import_matrix

    ids_file, _, column = ids.rpartition(":")
    if not ids_file or not column:
        raise ImportFailed(f"--ids {ids}: expected CSV_FILE:COLUMN, as in metadata.csv:flickr_id")
    done = import_matrix(_open(store), dataset, encoder, file, key, Path(ids_file), column)
    if json:
        facts = {"videos": done.videos, "new": done.new, "imputed": done.imputed}
        cli.print_json({"name": done.features.name, "path": str(done.features.path), **facts})
        return
    if done.new:
        print(f"imported {done.new:,} videos: {done.features.name}")
    else:
        print(f"already imported ({done.videos:,} videos): {done.features.name}")
    if done.imputed:
        cells = _count(sum(map(len, done.imputed.values())), "missing value")
        print(f"{cells} (NaN) replaced by the median of the column, in {_count(len(done.imputed), 'video')}:")
    for video, columns in list(done.imputed.items())[:_SHOWN]:
        print(f"  {video}: column {', '.join(map(str, columns))}")
    if len(done.imputed) > _SHOWN:
        print("  … (--json lists all)")


@app.command()
def export(
    name: SetName,
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    store: StoreFolder = None,
    json: cli.Json = False,
) -> None:
    """Write one .npy for each video and stream, and a manifest.json."""
    from store.exports import export_npy

    features = _find(_open(store), name)
    videos = export_npy(features, folder, partial(tqdm, desc=features.name, unit="video", disable=json))
    if json:
        cli.print_json({"name": features.name, "folder": str(folder), "videos": videos})
    else:
        print(f"exported {_count(videos, 'video')}, {_count(len(features.streams), 'stream')}: {folder}")


def _open(folder: Path | None) -> FeatureStore:
    return FeatureStore(folder or load_settings(DEFAULT_FILE).store.path)


def _find(store: FeatureStore, name: str) -> FeatureSet:
    dataset, _, rest = name.partition("/")
    encoder, _, key = rest.partition("@")
    if not encoder:
        raise FeaturesNotFound(f"{name!r}: expected DATASET/ENCODER, as `python -m store ls` prints them")
    return store.find(dataset, encoder, key or None)


def _stream_rows(features: FeatureSet) -> list[list[object]]:
    videos = features.videos()
    return [
        [name, str(list(s.shape)), s.dtype, sum(features.length(video, name) for video in videos)]
        for name, s in features.streams.items()
    ]


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.1f} MB"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _fail_with(faults: list[str], failed: bool = False) -> None:
    for fault in faults:
        typer.echo(f"error: {fault}", err=True)
    if faults or failed:
        raise typer.Exit(1)


if __name__ == "__main__":
    cli.run(app)
