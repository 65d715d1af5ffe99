"""The model of a run without its weights: on the meta device, from the decoder's architecture."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from config.schema import DecoderSettings, PipelineSettings, TaskSettings
from config.schema.entry import RANDOM
from train.answers.forms import options
from train.errors import DecoderMissingError
from train.model.build import Shapes, assemble
from train.model.decoder import decoder_config, decoder_of, load_tokenizer, weights_dtype
from train.model.hub import first_line
from train.model.llama3_tokenizer import CHAT_TEMPLATE
from train.model.quality import QualityModel


def planned_model(
    pipeline: PipelineSettings,
    tasks: Mapping[str, TaskSettings],
    shapes: Shapes,
    config: PretrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
) -> QualityModel:
    """The untrained model, whose decoder has shapes alone (quantised weights have those before)."""
    with torch.device("meta"):
        decoder = decoder_of(config, weights_dtype(pipeline))
    return assemble(pipeline, tasks, shapes, decoder, tokenizer)


def planned_config(settings: DecoderSettings) -> PretrainedConfig:
    """The decoder's architecture: its folder's, the settings' own, or that of config.json on the hub.

    Raises DecoderMissingError where none of them is there.
    """
    if settings.weights.startswith(RANDOM) or Path(settings.weights).expanduser().is_dir():
        return decoder_config(settings)
    if settings.architecture:
        return decoder_config(settings.model_copy(update={"weights": f"{RANDOM}0"}))
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            settings.weights, revision=settings.revision, trust_remote_code=False
        )
        return config
    except (OSError, ValueError) as error:
        where = f"\n  where to get it: {settings.source}" if settings.source else ""
        raise DecoderMissingError(
            f"the architecture of {settings.weights!r} is not known: {first_line(error)}{where}"
            "\n  or write it into the decoder's settings: `architecture`, as [decoders.qwen-3-8b] has it"
        ) from error


def planned_tokenizer(
    settings: DecoderSettings, tasks: Mapping[str, TaskSettings]
) -> tuple[PreTrainedTokenizerBase, bool]:
    """The decoder's tokenizer where it is on this machine, else one of the prompts' own words; and which."""
    place = settings.tokenizer or settings.weights
    if Path(place).expanduser().is_dir():
        return load_tokenizer(settings), True
    if not place.startswith(RANDOM):
        try:
            revision = None if settings.tokenizer else settings.revision
            found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                place, revision=revision, trust_remote_code=False, local_files_only=True
            )
            return found, True
        except (OSError, ValueError):
            pass
    return prompts_tokenizer(tasks), False


def prompts_tokenizer(tasks: Mapping[str, TaskSettings]) -> PreTrainedTokenizerBase:
    """A tokenizer to which every word, number and mark of the prompts is one token, in Llama-3's frame.

    So are common words and whole numbers up to 999 in large vocabularies: it serves to estimate lengths.
    """
    special = ["<unk>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = Tokenizer(models.WordLevel(unk_token=special[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n+|\w+|[^\w\s]"), "removed", invert=True)
    texts = [*map(str, range(101)), "system user assistant \n\n", *_texts(tasks)]
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=special))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=special[0], eos_token=special[-1], chat_template=CHAT_TEMPLATE
    )


def _texts(tasks: Mapping[str, TaskSettings]) -> Iterator[str]:
    """Everything that tasks say."""
    for task in tasks.values():
        yield from (task.system, *task.questions, task.restriction, task.answer)
        for ends in options(task.form):
            yield from ends
