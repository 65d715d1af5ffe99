"""Conversations about the copies, as VQA² has them: which kind, how strong, which is worse, when."""

import json
import tomllib
from collections.abc import Iterator, Sequence
from itertools import groupby, permutations
from pathlib import Path
from typing import Any

from distort.chain import Span
from distort.kinds import kind_of
from distort.labels import Labelled
from distort.plan import SPLITS, Recipe, draws
from store.durable.commit import write_file

STALL_SECONDS = 0.3
"""The shortest stall of which it is asked when it is."""
PAIRS = 4
"""Of the copies of one kind of a source, so many pairs are asked about."""

_WORDINGS = tomllib.loads(Path(__file__).with_name("questions.toml").read_text("utf-8"))

Record = dict[str, Any]


def write_conversations(folder: Path, copies: Sequence[Labelled], recipe: Recipe) -> dict[str, int]:
    """Write conversations-SPLIT.jsonl for every split, and give the number of records of each."""
    records: dict[str, list[Record]] = {split: [] for split in SPLITS}
    for copy in copies:
        records[copy.split] += _about_one(copy, recipe)
    for split, pair in _pairs(copies, recipe):
        records[split].append(pair)
    for split, found in records.items():
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in found)
        write_file(folder / f"conversations-{split}.jsonl", lines.encode("utf-8", "surrogateescape"))
    return {f"conversations-{split}.jsonl": len(found) for split, found in records.items()}


def _about_one(copy: Labelled, recipe: Recipe) -> Iterator[Record]:
    """What can be asked about one copy."""
    parts = copy.copy.parts
    names = [kind_of(part.kind).name for part in parts]
    asked = _WORDINGS["kind"]
    yield _record("kind", [copy], {}, asked["joint"].join(names) or asked["none"], recipe)
    if len(parts) != 1:
        return
    about = {"kind": names[0]}
    yield _record("strength", [copy], about, _WORDINGS["strength"]["answers"][parts[0].strength - 1], recipe)
    if copy.copy.stretch is not None:
        yield _record("when", [copy], about, _from_to(copy.outline.distorted), recipe)
    still = copy.outline.still
    if still and still[0][1] - still[0][0] >= STALL_SECONDS:
        wording = "still" if len(still) == 1 else "first-still"
        yield _record("when", [copy], about, _from_to(still[0]), recipe, wording)


def _from_to(span: Span) -> str:
    return str(_WORDINGS["when"]["answer"].format(start=span[0], end=span[1]))


def _pairs(copies: Sequence[Labelled], recipe: Recipe) -> Iterator[tuple[str, Record]]:
    """Pairs of one source and kind, of two strengths."""
    whole = [copy for copy in copies if len(copy.copy.parts) == 1 and copy.copy.stretch is None]
    for (source, kind), group in groupby(whole, lambda c: (c.source.name, c.copy.parts[0].kind)):
        pairs = list(permutations(group, 2))
        for number in draws(recipe.seed, source, kind, "pairs").permutation(len(pairs))[:PAIRS]:
            pair = pairs[number]
            strengths = [copy.copy.parts[0].strength for copy in pair]
            answer = _WORDINGS["worse"]["answers"][strengths.index(max(strengths))]
            about = {"kind": kind_of(kind).name}
            yield pair[0].split, _record("worse", pair, about, answer, recipe)


def _record(
    task: str,
    copies: Sequence[Labelled],
    about: dict[str, str],
    answer: str,
    recipe: Recipe,
    wording: str | None = None,
) -> Record:
    """`wording`: the table of the questions' wordings; the task's own where not given."""
    wording = wording or task
    videos = [copy.video for copy in copies]
    wordings = _WORDINGS[wording]["questions"]
    question = wordings[draws(recipe.seed, wording, *videos).integers(len(wordings))].format(**about)
    media = _WORDINGS["media"]["one" if len(copies) == 1 else "two"]
    rates = [_rate(copy) for copy in copies]
    return {
        "id": " ".join([wording, *videos]),
        "task_mark": task,
        "image": videos[0] if len(videos) == 1 else videos,
        "frames per sec": rates[0] if len(rates) == 1 else rates,
        "conversations": [
            {"from": "human", "value": media + question},
            {"from": "gpt", "value": answer},
        ],
    }


def _rate(copy: Labelled) -> float:
    rate = round(copy.source.extent.fps, 3)
    return int(rate) if rate == int(rate) else rate
