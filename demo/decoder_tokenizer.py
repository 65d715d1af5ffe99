"""The word-level tokenizer of the embedded decoder, and the frame that its conversations stand in."""

import re
from collections.abc import Iterable
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

BOS: Final = "<bos>"
EOS: Final = "<eos>"
PAD: Final = "<pad>"
UNK: Final = "<unk>"
ROLES: Final = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}

CHAT_TEMPLATE: Final = (
    "{{ '" + BOS + "' }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }} {{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '" + EOS + "' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + ROLES["assistant"] + "' }}{% endif %}"
)
"""`<bos><|system|> … <|user|> … <|assistant|> …<eos>`; spaces between words carry no meaning."""

_PUNCTUATION: Final = ".,:;?!()/-'\"%"
_WORD: Final = re.compile(r"\w+|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Words, numbers and single punctuation marks, as the tokenizer separates them."""
    return _WORD.findall(text)


def conversation(system: str, user: str, answer: str | None = None) -> str:
    """The chat template, applied to a system prompt, a user message and (where given) the answer."""
    asked = f"{BOS}{ROLES['system']} {system}{ROLES['user']} {user}{ROLES['assistant']}"
    return asked if answer is None else f"{asked} {answer}{EOS}"


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """One token for each word of `texts`, each integer 0–100 and each punctuation mark.

    Words differ by case; a word that is not in the vocabulary becomes `<unk>`.
    """
    special = [PAD, BOS, EOS, UNK, *ROLES.values()]
    numbers = [str(number) for number in range(101)]
    words = sorted({word for text in texts for word in words_of(text)} - {*numbers, *_PUNCTUATION})
    vocabulary = {token: index for index, token in enumerate([*special, *numbers, *_PUNCTUATION, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNK,
        additional_special_tokens=list(ROLES.values()),
        chat_template=CHAT_TEMPLATE,
        padding_side="right",
    )
