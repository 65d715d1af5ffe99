"""Llama-3's tokenizer from Meta's own file, which holds the BPE ranks alone."""

from pathlib import Path

from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

FILE_NAME = "tokenizer.model"

# The 256 special tokens follow the ranks in this order (llama-models, llama3/tokenizer.py).
_NAMED = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
)
_SPECIAL = (*_NAMED, *(f"<|reserved_special_token_{i}|>" for i in range(3, 256 - len(_NAMED) + 3)))

# Meta's documented prompt format for the instruct models.
CHAT_TEMPLATE = (
    "{{ '<|begin_of_text|>' }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def holds_only_ranks(folder: Path) -> bool:
    """Whether the folder has Meta's rank file and no tokenizer in Hugging Face's format."""
    return (folder / FILE_NAME).is_file() and not (folder / "tokenizer.json").is_file()


def load_llama3_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The instruct model's tokenizer: 128,000 ranks, 256 special tokens, end of turn as EOS."""
    converter = TikTokenConverter(vocab_file=str(folder / FILE_NAME), extra_special_tokens=list(_SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=converter.converted(),
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
        chat_template=CHAT_TEMPLATE,
        name_or_path=str(folder),
    )
