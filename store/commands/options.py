"""What the store's commands share: their options, how they find a feature set, and what they print."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from config.load import DEFAULT_FILE, load_settings
from store.errors import FeaturesNotFound, StoreError
from store.feature_set import FeatureSet
from store.features import FeatureStore

_SHOWN = 10

StoreFolder = Annotated[
    Path | None, typer.Option("--store", help="The store's folder; that of pipelines.toml where not given.")
]
SetName = Annotated[str, typer.Argument(metavar="SET", help="DATASET/ENCODER, or DATASET/ENCODER@KEY.")]


def open_store(folder: Path | None) -> FeatureStore:
    """The store in a folder; that of the settings where none is given."""
    if folder is not None:
        return FeatureStore(folder)
    settings = load_settings(DEFAULT_FILE).store
    return FeatureStore(settings.path, settings.backend)


def find_set(store: FeatureStore, name: str) -> FeatureSet:
    """The feature set that a command names. Raises FeaturesNotFound, AmbiguousFeatures."""
    dataset, _, rest = name.partition("/")
    encoder, _, key = rest.partition("@")
    if not encoder:
        raise FeaturesNotFound(f"{name!r}: expected DATASET/ENCODER, as `python -m store ls` prints them")
    return store.find(dataset, encoder, key or None)


def each_set(store: FeatureStore, name: str | None, faults: list[str]) -> Iterator[FeatureSet]:
    """The feature set of that name, or all; what is wrong with one of all is added to `faults`."""
    if name is not None:
        yield find_set(store, name)
        return
    for path in store.paths():
        try:
            yield store.open(path)
        except StoreError as error:
            faults.append(str(error))


def fail_with(faults: list[str], failed: bool = False) -> None:
    """Print what is wrong, and end with status 1 if anything is."""
    for fault in faults:
        typer.echo(f"error: {fault}", err=True)
    if faults or failed:
        raise typer.Exit(1)


def size(size_bytes: int) -> str:
    """`1.2 MB`, `3.4 GB`."""
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.1f} MB"


def print_some(lines: Sequence[str]) -> None:
    """Print the first lines, indented."""
    for line in lines[:_SHOWN]:
        print(f"  {line}")
    if len(lines) > _SHOWN:
        print(f"  … and {len(lines) - _SHOWN:,} more (--json lists all)")
