"""Read pipelines.toml: inheritance, overrides from the command line, references, and plain errors."""

import copy
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from config.errors import Problem, nearest
from config.schema import Settings

DEFAULT_FILE = Path("pipelines.toml")
_ROOT = Path(__file__).parents[1]
EMBEDDED_MODEL = _ROOT / "models" / "embedded"
"""The trained model that comes with this repository."""
_NAMED_SECTIONS = ("datasets", "encoders", "tasks", "pipelines", "protocols", "ablations")
_SECTIONS_WITH_EXTENDS = (*_NAMED_SECTIONS, "decoders")
_Entry = TypeVar("_Entry")


class SettingsError(Problem):
    """A fault in the settings: names the key, the file and the nearest valid name."""


def load_settings(file: Path = DEFAULT_FILE, overrides: Sequence[str] = ()) -> Settings:
    """Read and check the settings; the default file is the repository's where the current folder has none.

    `overrides` are `a.b=value` texts as given to `--set`; the value is read as TOML, or else as a string.
    A string that begins with `./` is a path relative to the file's folder. Raises SettingsError.
    """
    if file == DEFAULT_FILE and not file.exists():
        file = _ROOT / DEFAULT_FILE
    try:
        raw: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{file}: no such file; --config names the settings") from None
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read as a settings file: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: not UTF-8 text, which TOML is: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: not valid TOML: {error}") from None
    _require_tables(raw, str(file))
    for section in _SECTIONS_WITH_EXTENDS:
        entries = raw.get(section, {})
        raw[section] = {name: _inherit(section, name, entries, file) for name in entries}
    # What replaces a whole table comes before what changes a key of it.
    for text in sorted(overrides, key=lambda text: text.partition("=")[0].count(".")):
        _override(raw, text, file)
        _require_tables(raw, f"--set {text}")
    _expand_ablations(raw, file)
    _resolve_decoders(raw, file)
    for section in _NAMED_SECTIONS:
        raw[section] = {name: {**entry, "name": name} for name, entry in raw.get(section, {}).items()}
    try:
        settings = Settings.model_validate(_absolute_paths(raw, file.resolve().parent))
    except ValidationError as error:
        raise SettingsError(_explain(error, file)) from None
    _check_references(settings, file)
    return settings


def lookup(entries: Mapping[str, _Entry], name: str, what: str) -> _Entry:
    """The entry of that name, or a SettingsError that lists the nearest names."""
    if name not in entries:
        raise SettingsError(f"the settings have no {what} named {name!r}{_nearest(name, entries)}")
    return entries[name]


def _require_tables(raw: Mapping[str, Any], where: str) -> None:
    """Raise SettingsError where a section, or an entry of one, is not a table of keys."""
    for section in _SECTIONS_WITH_EXTENDS:
        entries = raw.get(section, {})
        inner = entries.items() if isinstance(entries, dict) else []
        for name, value in [(section, entries), *((f"{section}.{name}", entry) for name, entry in inner)]:
            if not isinstance(value, dict):
                raise SettingsError(f"{where}: {name} is {value!r}: expected a table, [{name}], of keys")


def _inherit(section: str, name: str, entries: Mapping[str, Any], file: Path) -> dict[str, Any]:
    chain: list[str] = []
    entry: dict[str, Any] = {}
    current: str | None = name
    while current is not None:
        if current in chain:
            raise SettingsError(f"{file}: [{section}.{name}] extends itself: {' → '.join([*chain, current])}")
        if current not in entries:
            raise SettingsError(
                f"{file}: [{section}.{chain[-1]}] extends {current!r}, which is not in [{section}]"
                f"{_nearest(str(current), entries)}"
            )
        chain.append(current)
        own = copy.deepcopy(entries[current])
        current = own.pop("extends", None)
        if isinstance(own.get("decoder"), str):
            own["decoder"] = {"extends": own["decoder"]}
        entry = _merge(own, entry)
    return entry


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        known = merged.get(key)
        # A table that extends another entry has nothing of the one in whose place it stands.
        if isinstance(value, dict) and isinstance(known, dict) and "extends" not in value:
            value = _merge(known, value)
        merged[key] = value
    return merged


def _expand_ablations(raw: dict[str, Any], file: Path) -> None:
    """Make every cell the pipeline that it changes, with its changes; overrides of that reach them all."""
    pipelines = raw.get("pipelines", {})
    for name, ablation in raw.get("ablations", {}).items():
        where = f"ablations.{name}.cells"
        cells = ablation.setdefault("cells", {})
        if not isinstance(cells, dict) or not all(isinstance(cell, dict) for cell in cells.values()):
            raise SettingsError(
                f"{file}: {where} is {cells!r}: expected a table of tables, one for each cell"
            )
        for cell, changes in cells.items():
            own = {"extends": ablation.get("pipeline"), **changes}
            if own["extends"] not in pipelines:
                raise SettingsError(
                    f"{file}: [{where}.{cell}] changes {own['extends']!r}, which is not in [pipelines]"
                    f"{_nearest(str(own['extends']), pipelines)}"
                )
            place = f"{name}.cells.{cell}"
            unchanged = own.keys() == {"extends"}  # its runs are the pipeline's, whichever ablation has it
            cells[cell] = {
                **_inherit("ablations", place, {**pipelines, place: own}, file),
                "name": own["extends"] if unchanged else f"{name}.{cell}",
            }


def _resolve_decoders(raw: dict[str, Any], file: Path) -> None:
    """Put the table of [decoders.NAME] where a pipeline's decoder is that name, or `extends` it."""
    known = raw.get("decoders", {})
    pipelines = {f"pipelines.{name}": entry for name, entry in raw.get("pipelines", {}).items()}
    for name, ablation in raw.get("ablations", {}).items():
        pipelines |= {f"ablations.{name}.cells.{cell}": entry for cell, entry in ablation["cells"].items()}
    for pipeline, entry in pipelines.items():
        decoder = entry.get("decoder")
        own = {"extends": decoder} if isinstance(decoder, str) else decoder
        if not isinstance(own, dict) or "extends" not in own:
            continue
        name = own.pop("extends")
        if name not in known:
            raise SettingsError(
                f"{file}: {pipeline}.decoder names {name!r}, which is not in [decoders]"
                f"{_nearest(str(name), known)}"
            )
        entry["decoder"] = _merge(copy.deepcopy(known[name]), own)


def _override(raw: dict[str, Any], text: str, file: Path) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set {text}: expected KEY=VALUE, as in --set pipelines.tiny.training.epochs=3")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    *parents, last = key.strip().split(".")
    table = raw
    for depth, part in enumerate(parents):
        known = table.get(part)
        if known is None and depth >= 2:
            known = table[part] = {}
        if isinstance(known, str) and part == "decoder":
            known = table[part] = {"extends": known}
        if not isinstance(known, dict):
            where = ".".join(parents[: depth + 1])
            raise SettingsError(f"--set {key}: {file} has no [{where}]{_nearest(part, table)}")
        table = known
    table[last] = parsed


def _absolute_paths(value: Any, root: Path) -> Any:
    if isinstance(value, dict):
        return {key: _absolute_paths(item, root) for key, item in value.items()}
    if isinstance(value, list):
        return [_absolute_paths(item, root) for item in value]
    if isinstance(value, str) and value.startswith("./"):
        return str(root / value)
    return value


def _explain(error: ValidationError, file: Path) -> str:
    lines = []
    for fault in error.errors():
        key, names = _place(fault["loc"])
        if fault["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown key{_nearest(str(fault['loc'][-1]), names)}")
        elif fault["type"] == "missing":
            lines.append(f"{key}: required, but absent")
        elif fault["type"] == "value_error":
            lines.append(f"{key}: {fault['ctx']['error']}")
        else:
            lines.append(f"{key}: {fault['msg'].lower()}; found {fault['input']!r}")
    return f"{file}: " + (lines[0] if len(lines) == 1 else "\n  ".join(["several faults", *lines]))


def _place(location: Sequence[int | str]) -> tuple[str, list[str]]:
    """A key as a person writes it, and the names of the keys that are known beside it."""
    kind: Any = Settings
    written, beside = list[str](), list[str]()
    for part in location:
        if str(part) in _by_kind(kind):  # no key: which of several classes the table was read as
            kind = _by_kind(kind)[str(part)]
            continue
        written.append(str(part))
        beside = list(kind.model_fields) if _is_entry(kind) else []
        if _is_entry(kind):
            kind = kind.model_fields[part].annotation if part in beside else None
        else:
            kind = next(reversed(get_args(kind)), None)
        if isinstance(kind, UnionType) and not _by_kind(kind):
            kind = next(filter(_is_entry, get_args(kind)), kind)
    return ".".join(written), beside


def _by_kind(kind: Any) -> dict[str, Any]:
    """Of several classes that a table may be read as: its `kind` → class."""
    named = [each for each in get_args(kind) if _is_entry(each) and "kind" in each.model_fields]
    return (
        {get_args(each.model_fields["kind"].annotation)[0]: each for each in named} if len(named) > 1 else {}
    )


def _is_entry(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _nearest(name: str, names: Iterable[str]) -> str:
    known = sorted(set(names) - {"name"})
    return nearest(name, known) or (f"; known: {', '.join(known)}" if known else "")


def _check_references(settings: Settings, file: Path) -> None:
    references: list[tuple[str, str, Mapping[str, Any]]] = []
    pipelines = {f"pipelines.{name}": pipeline for name, pipeline in settings.pipelines.items()}
    for name, ablation in settings.ablations.items():
        pipelines |= {f"ablations.{name}.cells.{cell}": each for cell, each in ablation.cells.items()}
        references.append((f"ablations.{name}.protocol", ablation.protocol, settings.protocols))
    for own, pipeline in pipelines.items():
        references.append((f"{own}.dataset", pipeline.dataset, settings.datasets))
        references += [(f"{own}.tasks", task, settings.tasks) for task in pipeline.tasks]
        if pipeline.levels is not None:
            references.append((f"{own}.levels", pipeline.levels, settings.tasks))
            known = settings.tasks.get(pipeline.levels)
            if known is not None and not known.levels:
                raise SettingsError(
                    f"{file}: {own}.levels names {known.name!r}: expected a task of words for opinion scores"
                )
        references += [(f"{own}.aligned", dataset, settings.datasets) for dataset in pipeline.aligned]
        for branch, branch_settings in pipeline.branches.items():
            references.append(
                (f"{own}.branches.{branch}.encoder", branch_settings.encoder, settings.encoders)
            )
        if pipeline.continues is not None:
            references.append((f"{own}.continues", pipeline.continues, settings.pipelines))
    for name, protocol in settings.protocols.items():
        references += [(f"protocols.{name}.datasets", d, settings.datasets) for d in protocol.datasets]
        references += [(f"protocols.{name}.also", d, settings.datasets) for d in protocol.also]
        references += [(f"protocols.{name}.tests", d, settings.datasets) for d in protocol.tests]
        references += [(f"protocols.{name}.pipelines", p, settings.pipelines) for p in protocol.pipelines]
    for key, target, entries in references:
        if target not in entries:
            raise SettingsError(
                f"{file}: {key} names {target!r}, which does not exist{_nearest(target, entries)}"
            )
