"""`python -m store`: what is stored, whether it is whole, and the way in and out for other programs."""

import json as json_text
from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate

from config import cli
from config.errors import count
from store.care.summary import coverage, summary
from store.commands import care, exchange
from store.commands.options import SetName, StoreFolder, fail_with, find_set, open_store, print_some, size
from store.errors import StoreError

app = cli.command_app("Look at, check, import and export stored features.")


@app.command("ls")
def list_sets(store: StoreFolder = None, json: cli.Json = False) -> None:
    """List the feature sets."""
    opened = open_store(store)
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
            [s["name"], s["videos"], size(s["bytes"]), s["quarantined"], s["committed"] or "–"] for s in sets
        ]
        headers = ["feature set", "videos", "size", "quarantined", "last written"]
        print(tabulate(rows, headers, intfmt=",", colalign=("left", "right", "right", "right", "left")))
    elif not faults:
        print(f"{opened.root} holds no features yet: `python -m extract` makes them")
    fail_with(faults)


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
    features = find_set(open_store(store), name)
    shown = summary(features)
    meeting = coverage(features, labels) if labels else None
    if json:
        entries = [vars(entry) for entry in features.quarantine.entries()]
        made = {"content_hash": features.content_hash(), "provenance": features.provenance}
        extra = {**made, "specification": features.specification, "quarantine": entries}
        cli.print_json(shown | extra | ({"labels": meeting.to_json()} if meeting else {}))
        return
    facts = [
        ["feature set", shown["name"]],
        ["folder", shown["path"]],
        ["videos", f"{shown['videos']:,}"],
        ["subset hash", shown["subset_hash"]],
        ["content hash", features.content_hash()],
        ["size", f"{size(shown['bytes'])} in {count(shown['parts'], 'part')}"],
        ["last written", shown["committed"] or "–"],
        ["with warnings", f"{shown['with_warnings']:,}"],
    ]
    print(tabulate(facts, tablefmt="plain", disable_numparse=True))
    if features.streams:
        videos = features.videos()
        rows = [
            [stream, str(list(s.shape)), s.dtype, sum(features.length(video, stream) for video in videos)]
            for stream, s in features.streams.items()
        ]
        print("\n" + tabulate(rows, ["stream", "item", "dtype", "items"], intfmt=","))
    for provenance in features.provenance:
        print("made with " + ", ".join(f"{key} {value}" for key, value in provenance.items()))
    print("\nspecification " + json_text.dumps(features.specification, indent=2, ensure_ascii=False))
    refused = features.quarantine.entries()
    if refused:
        rows = [[entry.video, entry.error_type, entry.reason] for entry in refused]
        print(f"\n{count(len(refused), 'video')} in quarantine")
        print(
            tabulate(rows, ["video", "error", "reason"], maxcolwidths=[40, None, 80], disable_numparse=True)
        )
    if meeting:
        print(f"\n{labels}: {meeting.report()}")
    fail_with(shown["faults"])


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="DATASET/ENCODER@KEY, or the first digits of KEY.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    store: StoreFolder = None,
    json: cli.Json = False,
) -> None:
    """Say why two feature sets differ: in their specifications, and in their videos."""
    from store.care.difference import difference

    opened = open_store(store)
    sets = find_set(opened, a), find_set(opened, b)
    found = difference(*sets)
    if json:
        cli.print_json({"a": sets[0].name, "b": sets[1].name, **vars(found)})
        return
    print(f"{sets[0].name} → {sets[1].name}")
    print("\n".join(f"  {line}" for line in found.specification) or "  the same specification")
    print(f"{count(found.common, 'video')} in both")
    hashes = found.subset_hash_a, found.subset_hash_b
    for features, only, subset in zip(sets, (found.only_a, found.only_b), hashes, strict=True):
        print(
            f"{features.name}: {count(len(features), 'video')}, subset hash {subset}, {len(only):,} only here"
        )
        print_some([f"only here: {video}" for video in only])


app.command("import")(exchange.import_features)
app.command("export")(exchange.export_features)
app.command("verify")(care.verify)
app.command("repair")(care.repair)
app.command("gc")(care.collect_garbage)
app.command("compact")(care.compact)

if __name__ == "__main__":
    cli.run(app)
