"""Attention over a packed row: two ways to the same numbers, behind one attention function of transformers.

segments    for each video, causal attention within the prefix, and the tree's few queries on prefix and
            tree under a small mask; no query meets another video, and the prefix takes the flash kernels.
            A tree without branches, as of one question, is one causal call with its prefix
dense       all videos at once on rows padded to the longest, under a boolean mask: one call for a batch of
            short videos, but it computes what the mask then hides. Alone of all it knows a lead
mmca        another attention, of LMM-VQA's released code: see train/model/mmca.py

Segments need no block-sparse kernel: what is masked is never computed, and the causal prefix, nearly all of
the work, runs in the fastest kernel that the device has, with gradients on every device.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from train.errors import TrainError
from train.model.mmca import Attend, two_softmaxes
from train.model.packing import Layout

Way = Literal["segments", "dense", "mmca"]

NAME = "packed"
SHORT_TOKENS = 512
"""Up to so many tokens in the longest video, `auto` is `dense`: calls cost more than what the mask hides
(measured on CPUs: at 500 tokens and 8 videos both take the same time)."""


@dataclass(frozen=True)
class Plan:
    """How a row is attended in; `trees_only` in the layer whose output is read in the trees alone."""

    attend: Attend
    trees_only: Attend
    last_layer: int


def use_packed_attention(decoder: PreTrainedModel) -> None:
    """Let the decoder take plans; without one it attends as with sdpa. Raises TrainError where it cannot."""
    config = decoder.config.get_text_config()
    kind: Any = type(decoder)
    if not kind._can_set_attn_implementation():
        raise TrainError(_refusal(decoder, "does not take attention functions (AttentionInterface)"))
    if set(getattr(config, "layer_types", None) or ["full_attention"]) != {"full_attention"} or (
        getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    ):
        raise TrainError(
            _refusal(decoder, "attends through a sliding window, or not by softmax attention alone")
        )
    if getattr(config, "attn_logit_softcapping", None):
        raise TrainError(_refusal(decoder, "bounds its attention scores (softcapping)"))
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope in ("dynamic", "longrope"):
        raise TrainError(
            _refusal(decoder, f"has {rope} rotary positions, which depend on the longest sequence")
        )
    # cuDNN, which torch prefers on recent GPUs, makes and keeps a plan for every length that it meets.
    torch.backends.cuda.enable_cudnn_sdp(False)
    decoder.set_attn_implementation(NAME)


def chosen(way: Way | Literal["auto"], longest: int) -> Way:
    """The way for contexts of at most so many tokens."""
    if way == "auto":
        return "dense" if longest <= SHORT_TOKENS else "segments"
    return way


def make_plan(layout: Layout, way: Way | Literal["auto"], layers: int) -> Plan:
    """The plan of a row for a decoder of so many layers."""
    way = chosen(way, layout.lead + max(s.length for s in layout.segments))
    assert way == "dense" or not layout.lead, f"{way} knows no lead"
    ways: dict[Way, Callable[[Layout], Attend]] = {
        "segments": _segments,
        "dense": _dense,
        "mmca": two_softmaxes,
    }
    attend = ways[way](layout)
    trees_only = _segments(layout, trees_only=True) if way == "segments" else attend
    return Plan(attend, trees_only, layers - 1)


def _segments(layout: Layout, trees_only: bool = False) -> Attend:
    """Every context by itself; with `trees_only` prefixes in which nothing is read are left zero."""
    lengths = [s.length for s in layout.segments]

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        outputs = []
        parts = zip(*(x.split(lengths, dim=2) for x in (q, k, v)), strict=True)
        for segment, (query, key, value) in zip(layout.segments, parts, strict=True):
            skipped = trees_only and not segment.read
            if segment.chain and not skipped:
                outputs.append(_causal(query, key, value, scale))
                continue
            prefix, tree = query.split([segment.prefix, segment.tree], dim=2)
            shared_k, shared_v = key[:, :, : segment.prefix], value[:, :, : segment.prefix]
            outputs += [
                _nothing(prefix, value) if skipped else _causal(prefix, shared_k, shared_v, scale),
                _on_key_heads(tree, key, value, segment.allowed, scale),
            ]
        return torch.cat(outputs, dim=2)

    return attend


def _nothing(q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return q.new_zeros(*q.shape[:-1], v.shape[-1])


def _causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    grouped = q.shape[1] != k.shape[1]
    return functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=grouped)


def _on_key_heads(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, allowed: torch.Tensor, scale: float
) -> torch.Tensor:
    """Masked attention of few queries: heads that share keys become more queries, and no key is copied."""
    heads, tokens, width = q.shape[1:]
    groups = heads // k.shape[1]
    folded = q.reshape(1, k.shape[1], groups * tokens, width)
    out = functional.scaled_dot_product_attention(
        folded, k, v, attn_mask=allowed.repeat(groups, 1), scale=scale
    )
    return out.reshape(1, heads, tokens, v.shape[-1])


def _dense(layout: Layout) -> Attend:
    """All videos in one masked call, each on a row of its own behind the lead, which has a row, too."""
    device, lead = layout.positions.device, layout.lead
    spans = [*([(0, lead)] if lead else []), *((s.start, s.length) for s in layout.segments)]
    starts, lengths = (torch.tensor(numbers)[:, None] for numbers in zip(*spans, strict=True))
    count, longest = len(spans), int(lengths.max())
    there = torch.arange(longest) < lengths  # [rows, longest]: what is not padding
    places = (starts + torch.arange(longest)) * there  # of each padded place in the layout's row
    back = there.flatten().nonzero()[:, 0].to(device)
    gather, behind = places.flatten().to(device), torch.arange(lead).expand(count, lead)
    gather_keys = torch.cat([behind, places], dim=1).flatten().to(device) if lead else gather
    mask = torch.zeros(count, 1, longest, lead + longest, dtype=torch.bool, device=device)
    mask[..., 0] = True  # padding attends to something, so that no number is undefined
    mask[0, 0, :lead, :lead] |= torch.ones(lead, lead, dtype=torch.bool, device=device).tril()
    alike: dict[int, list[int]] = {}
    for number, s in enumerate(layout.segments, start=count - len(layout.segments)):
        alike.setdefault(id(s.allowed), []).append(number)
    for numbers in alike.values():
        s = layout.segments[numbers[0] - count]
        own = torch.zeros(longest, lead + longest, dtype=torch.bool, device=device)
        own[:, 0] = True
        own[: s.length, :lead] = True
        own[: s.length, lead : lead + s.length] = s.mask
        mask[torch.tensor(numbers, device=device), 0] = own

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        def rows(x: torch.Tensor, gather: torch.Tensor) -> torch.Tensor:
            x = x.repeat_interleave(q.shape[1] // x.shape[1], dim=1)
            x = x[0].index_select(1, gather)  # [heads, videos * longest, D]
            return x.view(x.shape[0], count, -1, x.shape[-1]).transpose(0, 1)

        keys, values = rows(k, gather_keys), rows(v, gather_keys)
        out = functional.scaled_dot_product_attention(
            rows(q, gather), keys, values, attn_mask=mask, scale=scale
        )
        return out.transpose(0, 1).flatten(1, 2).index_select(1, back)[None]

    return attend


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    plan: Plan | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' interface: returns [batch, L, heads, D]."""
    if plan is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    attend = plan.trees_only if module.layer_idx == plan.last_layer else plan.attend
    return attend(query, key, value, scale).transpose(1, 2).contiguous(), None


def _refusal(decoder: PreTrainedModel, reason: str) -> str:
    return (
        f"{type(decoder).__name__} {reason}, so videos cannot share a row: choose a decoder with full causal"
        " attention and rotary positions, such as Llama, Qwen2, Qwen2.5 or Qwen3"
    )


AttentionInterface.register(NAME, _packed_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
