"""`python -m store verify`, `repair`, `gc` and `compact`: what keeps a store healthy."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from tqdm import tqdm

from config import cli
from config.errors import count
from store.care.compact import Compacted
from store.care.compact import compact as compact_set
from store.care.garbage import GRACE_HOURS, Garbage, collect
from store.care.repair import Repair
from store.care.repair import repair as repair_set
from store.care.verify import Damage
from store.care.verify import verify as verify_set
from store.commands.options import StoreFolder, each_set, fail_with, open_store, print_some, size
from store.errors import StoreError
from store.feature_set import FeatureSet

SetOrAll = Annotated[str | None, typer.Argument(metavar="[SET]", help="One set; all where not given.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
GraceHours = Annotated[
    float,
    typer.Option(min=0, help="Keep a superseded part this long, for readers that may still be at it."),
]
_Done = TypeVar("_Done", Compacted, Garbage, Repair)


def verify(
    name: SetOrAll = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Check only this many videos of each set.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which sample.")] = 0,
    store: StoreFolder = None,
    json: cli.Json = False,
) -> None:
    """Compare stored features with their checksums; exit with status 1 where anything is damaged."""
    faults: list[str] = []
    checked, found = {}, []
    for features in each_set(open_store(store), name, faults):
        try:
            damages = _verified(features, json, sample, seed)
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
        scope = f"{count(sum(checked.values()), 'video')} of {count(len(checked), 'feature set')} checked"
        print(f"{scope}, {count(len(found), 'damage') if found else 'all whole'}")
        if found:
            print("`python -m store repair` drops what is damaged; `python -m extract` then makes it again.")
    fail_with(faults, failed=bool(found))


def repair(
    name: SetOrAll = None, dry_run: DryRun = False, store: StoreFolder = None, json: cli.Json = False
) -> None:
    """Drop damaged videos, so that the next extraction makes them again; whole ones are not touched.

    The exit status is 1 where something could not be read and was left as it is.
    """

    sets, faults = _run(store, name, json, lambda f: repair_set(f, _verified(f, json), dry_run))
    for features, done in [] if json else sets:
        would = "would be " if dry_run else ""
        print(f"{features.name}: {count(len(done.dropped), 'damaged video')} {would}dropped")
        print_some([f"{would}dropped: {video}" for video in done.dropped])
        print_some([f"damaged marker, {would}set aside: {marker}" for marker in done.set_aside])
        print_some([f"damaged metadata, {would}written anew: {part}" for part in done.rewritten])
        print_some([f"left as it is, as it cannot be read: {damage.reason}" for damage in done.left])
    fail_with(faults, failed=any(done.left for _, done in sets))


def collect_garbage(
    name: SetOrAll = None,
    grace_hours: GraceHours = GRACE_HOURS,
    dry_run: DryRun = False,
    store: StoreFolder = None,
    json: cli.Json = False,
) -> None:
    """Remove litter, superseded parts and quarantine entries of stored videos; others may be at work."""

    sets, faults = _run(store, name, json, lambda features: collect(features, grace_hours, dry_run))
    removed = "would be removed" if dry_run else "removed"
    for features, done in [] if json else sets:
        freed = sum(done.litter.values()) + sum(done.superseded.values())
        print(f"{features.name}: {size(freed)} {removed}")
        for names, what in (
            (done.litter, f"litter, {removed}"),
            (done.superseded, f"superseded, {removed}"),
            (done.waiting, f"superseded, stays until it has been so for {grace_hours:g} hours"),
            (done.set_aside, "set aside by repair: delete it by hand when nothing in it is needed"),
        ):
            print_some([f"{what}: {found} ({size(size_bytes)})" for found, size_bytes in names.items()])
        print_some([f"stored by now, quarantine entry {removed}: {video}" for video in done.quarantine])
    fail_with(faults)


def compact(
    name: SetOrAll = None,
    small_mb: Annotated[
        float, typer.Option(min=0, help="Merge parts with less than this to read, in MB.")
    ] = 512.0,
    grace_hours: GraceHours = GRACE_HOURS,
    dry_run: DryRun = False,
    store: StoreFolder = None,
    json: cli.Json = False,
) -> None:
    """Merge small parts into large ones, then remove superseded parts as gc does; others may be at work."""

    def run(features: FeatureSet) -> Compacted:
        done = compact_set(features, int(small_mb * 1e6), dry_run=dry_run)
        if not dry_run:
            collect(features, grace_hours)
        return done

    sets, faults = _run(store, name, json, run)
    for features, done in [] if json else sets:
        parts, new = count(sum(map(len, done.merged)), "part"), count(len(done.merged), "new part")
        amount = f"{count(done.videos, 'video')}, {size(done.size_bytes)}"
        print(f"{features.name}: {parts} {'would be ' if dry_run else ''}merged into {new}: {amount}")
        print_some([f"not merged: {damage.video}: {damage.reason}" for damage in done.damages])
    fail_with(faults, failed=any(done.damages for _, done in sets))


def _run(
    folder: Path | None, name: str | None, json: bool, run: Callable[[FeatureSet], _Done]
) -> tuple[list[tuple[FeatureSet, _Done]], list[str]]:
    """What was done to one feature set, or to all, printed as JSON where that is wanted; and the faults."""
    faults: list[str] = []
    sets = []
    for features in each_set(open_store(folder), name, faults):
        try:
            sets.append((features, run(features)))
        except StoreError as error:
            faults.append(str(error))
    if json:
        cli.print_json(
            {"feature_sets": {features.name: asdict(done) for features, done in sets}, "faults": faults}
        )
    return sets, faults


def _verified(features: FeatureSet, json: bool, sample: int | None = None, seed: int = 0) -> list[Damage]:
    bar = partial(tqdm, desc=features.name, unit="video", disable=json)
    return verify_set(features, sample, seed, bar)
