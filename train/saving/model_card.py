"""README.md of a trained model: what it is, what it was trained on, how well it did, what to beware of."""

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from tabulate import tabulate

from config.schema import RunSettings
from store.format.fingerprint import subset_hash
from train.model.decoder import RANDOM
from train.saving.run import Run

_CITED = {
    "decoder": "After LMM-VQA ([arXiv 2408.14008](https://arxiv.org/abs/2408.14008)): projected video"
    " features before a frozen language model, which answers in text.",
    "regression": "The regression baseline: projected video features before a small network,"
    " without a language model.",
}


def model_card(
    settings: RunSettings,
    run: Run,
    trainable: Mapping[str, int],
    history: Sequence[Mapping[str, float]],
    step: int,
) -> str:
    """The card as Markdown with YAML front matter, as the Hugging Face hub reads it.

    `history` has an entry `{"epoch", "step", "srcc", …}` for every validation so far.
    """
    front = _front_matter(settings, history).to_yaml()
    sections = [
        f"---\n{front}\n---",
        f"# {settings.pipeline.name} on {_datasets(settings)}",
        "No-reference video quality assessment: scores on 0–100, 100 is best. "
        + _CITED[settings.pipeline.head],
        *_warning(settings),
        "## Use\n\n    python -m evaluate predict VIDEO.mp4 --run FOLDER\n\nor, in Python,"
        " `train.pretrained.from_pretrained(FOLDER)`. The frozen language model's weights are not in this"
        " folder; they are loaded from where the settings say and refused if they are others.",
        "## Data\n\n" + _data(settings, run),
        "## Features\n\n" + _features(settings, run),
        "## Results so far\n\n" + _results(history, step),
        "## What was trained\n\n" + _trained(settings, run, trainable),
        "## Licences\n\n" + _licences(settings),
        "## Versions\n\n" + _table(["library", "version"], run.versions.items()),
    ]
    return "\n\n".join(sections) + "\n"


def random_parts(settings: RunSettings) -> list[str]:
    """Names of the encoders, and `the decoder`, that have seeded random weights instead of trained ones."""
    parts = [
        f"the encoder {name}"
        for name, encoder in settings.encoders.items()
        if (encoder.weights or "").startswith(RANDOM)
    ]
    decoder = settings.pipeline.head == "decoder" and settings.pipeline.decoder.weights.startswith(RANDOM)
    return [*parts, *(["the decoder"] if decoder else [])]


def _front_matter(settings: RunSettings, history: Sequence[Mapping[str, float]]) -> ModelCardData:
    pipeline, datasets = settings.pipeline, _datasets(settings)
    base = pipeline.decoder.weights if pipeline.head == "decoder" else ""
    results = []
    if history and "srcc" in history[-1]:
        results = [
            EvalResult(
                task_type="video-quality-assessment",
                dataset_type=datasets,
                dataset_name=f"{datasets} (validation split)",
                metric_type="srcc",
                metric_value=history[-1]["srcc"],
            )
        ]
    return ModelCardData(
        model_name=f"{pipeline.name} on {datasets}",
        library_name="lmm-vqa",
        tags=[
            "video-quality-assessment",
            "no-reference",
            *(["random-weights"] if random_parts(settings) else []),
        ],
        datasets=[dataset.name for dataset in settings.datasets],
        metrics=["srcc"],
        # A path or random:SEED is no repository that the hub could link to.
        base_model=base if base.count("/") == 1 and not base.startswith((".", "/", "~")) else None,
        eval_results=results or None,
    )


def _warning(settings: RunSettings) -> list[str]:
    parts = random_parts(settings)
    if not parts:
        return []
    named = " and ".join(parts)
    return [
        f"> **WARNING: RANDOM WEIGHTS.** {named[0].upper()}{named[1:]} never saw any training:"
        " this model tries out the program, and its scores mean nothing."
    ]


def _data(settings: RunSettings, run: Run) -> str:
    rows = [
        (dataset, part, len(ids), subset_hash(ids))
        for dataset, split in run.split.items()
        for part, ids in split.items()
    ]
    lines = [
        f"{dataset.name}: opinion scores from {dataset.mos_range[0]:g} to {dataset.mos_range[1]:g} mapped to"
        " 0–100."
        + "".join(f" The words of {task}: {each[dataset.name]}." for task, each in run.levels.items())
        + "\n"
        for dataset in settings.datasets
    ]
    return "\n".join([*lines, _table(["dataset", "split", "videos", "hash of their ids"], rows)])


def _datasets(settings: RunSettings) -> str:
    return " and ".join(dataset.name for dataset in settings.datasets)


def _features(settings: RunSettings, run: Run) -> str:
    rows = [(name, settings.encoders[name].weights or "", key) for name, key in run.feature_keys.items()]
    return _table(["encoder", "weights", "feature key"], rows)


def _results(history: Sequence[Mapping[str, float]], step: int) -> str:
    if not history:
        return f"{step} steps; not validated yet."
    columns = list(history[-1])
    rows = [[f"{entry[column]:.4g}" if column in entry else "" for column in columns] for entry in history]
    return f"{step} steps. On the validation split:\n\n" + _table(columns, rows)


def _trained(settings: RunSettings, run: Run, trainable: Mapping[str, int]) -> str:
    pipeline, training = settings.pipeline, settings.pipeline.training
    decoder = pipeline.decoder
    frozen = f"Frozen: {decoder.weights}" + (f" at {decoder.revision}" if decoder.revision else "")
    frozen += "." if decoder.quantised == "none" else f", its weights held in {decoder.quantised}."
    lines = [
        f"Tasks: {', '.join(pipeline.tasks)}.",
        f"Seeds: training {training.seed}, split {', '.join(str(d.split_seed) for d in settings.datasets)}.",
        *([frozen] if pipeline.head == "decoder" else []),
        *([f"Started from {_start(run.start)}."] if run.start else []),
    ]
    rows = [(part, f"{count:,}") for part, count in trainable.items()]
    return "\n".join(lines) + "\n\n" + _table(["part", "parameters"], rows)


def _start(start: Mapping[str, Any]) -> str:
    return f"{start['pipeline']} on {' and '.join(start['datasets'])} ({start['weights']})"


def _licences(settings: RunSettings) -> str:
    decoder = settings.pipeline.decoder
    lines = [f"- {dataset.name}: see its source, {dataset.source}" for dataset in settings.datasets]
    if settings.pipeline.head == "decoder":
        lines.append(
            f"- the decoder {decoder.weights}: {decoder.licence or 'see its source'}, {decoder.source}"
        )
    lines += [
        f"- the encoder {name}: see its source, {e.source}"
        for name, e in settings.encoders.items()
        if e.source
    ]
    return "\n".join(["Whoever uses this model is bound by the terms of what it was made of:", "", *lines])


def _table(headers: Sequence[str], rows: Any) -> str:
    return tabulate(list(rows), list(headers), tablefmt="github", disable_numparse=True)
