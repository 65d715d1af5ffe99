"""How fast a training goes, and how much of the device it uses."""

import resource
import sys
import time

import torch
from torch import nn
from transformers import PreTrainedModel

_PRODUCT_SIZE = 8192
"""Rows and columns of the matrices whose product is timed."""


class Meter:
    """Speeds of a step since the last one: videos/s, tokens/s, share of the device's peak, memory."""

    def __init__(
        self, decoder: PreTrainedModel | None, dtype: torch.dtype, device: torch.device, processes: int
    ) -> None:
        """`dtype`: that the decoder computes in."""
        self._device = device
        self._flops_per_token, self._peak_flops = 0, 0.0
        if decoder is not None and device.type == "cuda":
            self._flops_per_token = training_flops_per_token(decoder)
            self._peak_flops = processes * peak_flops(device, dtype)
        self._last = time.perf_counter()

    def start(self) -> None:
        """Time runs from here: what came before was no step."""
        self._last = time.perf_counter()

    def figures(self, videos: int, tokens: int) -> dict[str, float]:
        """Figures of the step that ends now, by their names in the tracker; GiB are the peak's."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        figures = {
            "speed/videos_per_second": videos / seconds,
            "speed/tokens_per_second": tokens / seconds,
            "memory/peak_gib": peak_memory_bytes(self._device) / 2**30,
        }
        if self._peak_flops:
            figures["speed/mfu"] = tokens / seconds * self._flops_per_token / self._peak_flops
        return figures


def training_flops_per_token(decoder: PreTrainedModel) -> int:
    """Floating-point operations of a decoder's forward and backward pass for one token.

    2 for each weight forward, 2 backward, as in Kaplan et al. 2020, section 2.1, and, where the weights
    train, their 2 for the weights' gradient. The output layer is left out, which sees only the answers, and
    so is the attention over the tokens, as usual in the model-FLOPs utilisation (PaLM, appendix B).
    """
    head = decoder.get_output_embeddings()
    return sum(
        (6 if module.weight.requires_grad else 4) * module.in_features * module.out_features
        for module in decoder.modules()
        if isinstance(module, nn.Linear) and module is not head
    )


def attention_flops(decoder: PreTrainedModel, tokens: int) -> int:
    """Of causal attention over so many tokens, forward and backward: 6 tokens² width in each layer.

    Forward these are two products of 2 tokens² width, half of each masked, and twice as much backward.
    """
    config = decoder.config.get_text_config()
    heads = config.num_attention_heads
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    return int(6 * tokens**2 * width * config.num_hidden_layers)


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of a large matrix product on the device, measured now."""
    left = torch.randn(_PRODUCT_SIZE, _PRODUCT_SIZE, device=device, dtype=dtype)
    right = torch.randn_like(left)
    for _ in range(3):
        left @ right
    repeats = 10
    torch.cuda.synchronize(device)
    started = time.perf_counter()
    for _ in range(repeats):
        left @ right
    torch.cuda.synchronize(device)
    return repeats * 2 * _PRODUCT_SIZE**3 / (time.perf_counter() - started)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory that was held so far: tensors on a GPU, else this process's resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
