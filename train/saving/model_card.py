"""README.md of a trained model: what it is, what it was trained on, how well it did, what to beware of."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, Template
from tabulate import tabulate

from config.schema import RunSettings
from config.schema.entry import RANDOM
from train.saving.run import Run

_TEMPLATE = Path(__file__).with_suffix(".md")


def model_card(
    run: Run, trainable: Mapping[str, int], history: Sequence[Mapping[str, float]], step: int
) -> str:
    """The card as Markdown with YAML front matter, as the Hugging Face hub reads it.

    `history` has an entry `{"epoch", "step", "srcc", …}` for every validation so far.
    """
    settings = run.settings
    datasets = " and ".join(dataset.name for dataset in settings.datasets)
    encoders = [(name, settings.encoders[name].weights or "", key) for name, key in run.feature_keys.items()]
    content = _template().render(
        card_data=_front_matter(settings, datasets, history).to_yaml(),
        run=run,
        pipeline=settings.pipeline,
        decoder=settings.pipeline.decoder,
        datasets=datasets,
        random=" and ".join(_random_parts(settings)),
        parts=[
            (dataset, name, part.videos, part.subset)
            for dataset, split in run.split.items()
            for name, part in split.items()
        ],
        features=encoders,
        history=history,
        results=[[f"{entry[k]:.4g}" if k in entry else "" for k in history[-1]] for entry in history],
        step=step,
        trainable=[
            (part, f"{count:,}", *(f"{value:g}" for value in settings.pipeline.rates(part)))
            for part, count in trainable.items()
        ],
        table=_table,
    )
    return f"{str(ModelCard(content)).rstrip()}\n"


@cache
def _template() -> Template:
    """Compiled once: every checkpoint has a card, and compiling takes longer than all else of it."""
    return Environment().from_string(_TEMPLATE.read_text("utf-8"))


def _random_parts(settings: RunSettings) -> list[str]:
    """Names of the encoders, and `the decoder`, that have seeded random weights instead of trained ones."""
    named = {f"the encoder {name}": encoder.weights for name, encoder in settings.encoders.items()}
    if settings.pipeline.head == "decoder":
        named["the decoder"] = settings.pipeline.decoder.weights
    return [name for name, weights in named.items() if (weights or "").startswith(RANDOM)]


def _front_matter(
    settings: RunSettings, datasets: str, history: Sequence[Mapping[str, float]]
) -> ModelCardData:
    pipeline, srcc = settings.pipeline, history[-1].get("srcc") if history else None
    base = pipeline.decoder.weights if pipeline.head == "decoder" else ""
    kind = "video-quality-assessment"
    tags = [kind, "no-reference"]
    return ModelCardData(
        model_name=f"{pipeline.name} on {datasets}",
        library_name="lmm-vqa",
        tags=[*tags, *(["random-weights"] if _random_parts(settings) else [])],
        datasets=[dataset.name for dataset in settings.datasets],
        metrics=["srcc"],
        # A path or random:SEED is no repository that the hub could link to.
        base_model=base if base.count("/") == 1 and not base.startswith((".", "/", "~")) else None,
        eval_results=None
        if srcc is None
        else [EvalResult(kind, datasets, f"{datasets} (validation split)", "srcc", srcc)],
    )


def _table(headers: Iterable[str], rows: Iterable[Sequence[object]]) -> str:
    return tabulate(list(rows), list(headers), tablefmt="github", disable_numparse=True)
