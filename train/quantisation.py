"""Frozen weights in 8 or 4 bits by bitsandbytes; on NVIDIA GPUs, and, slowly, on CPUs."""

from importlib.util import find_spec
from typing import Literal

import torch
from accelerate import PartialState
from transformers import BitsAndBytesConfig

from train.errors import TrainError


def quantisation(kind: Literal["8bit", "4bit"], compute: torch.dtype) -> BitsAndBytesConfig:
    """How transformers is to load the linear layers; `compute` is the dtype of 4-bit layers' products.

    8bit: LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339). 4bit: NF4 with double quantisation, as in QLoRA
    (Dettmers et al. 2023, arXiv 2305.14314). Embeddings and the output layer keep their precision. Raises
    TrainError where bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise TrainError(
            f"quantised = {kind!r} needs bitsandbytes, which is not installed:"
            " .venv/bin/python -m pip install --constraint constraints.txt --editable '.[quantised]'"
        )
    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def own_device() -> torch.device:
    """The device that Accelerate gives this process: one GPU each, or the CPU."""
    device: torch.device = PartialState().device
    return device
