"""The attention of LMM-VQA's released code ("MMCA"): the sum of two softmaxes, over media and over text.

Both take the same scores. A text token attends to the media's tokens before it, and to the text before it; a
medium's token attends to itself alone, and to the text before it. Where one of the two has nothing to attend
to, the code's additive masks make it uniform, and let it look ahead: see docs/paper-and-code.md. Those rows
are part of what was trained, so they are kept, gradient and all.
"""

from collections.abc import Callable

import torch

from train.errors import TrainError
from train.model.packing import Layout, Segment

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]
"""query [1, heads, L, D], key and value [1, key heads, L, D], scale → [1, heads, L, D]."""


def two_softmaxes(layout: Layout) -> Attend:
    """Every context by itself. Raises TrainError where one with several branches does not begin with text."""
    lengths = [segment.length for segment in layout.segments]
    masks = [_masks(segment) for segment in layout.segments]

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        queries, keys, values = (x.split(lengths, dim=2) for x in (q, k, v))
        parts = zip(queries, keys, values, masks, strict=True)
        return torch.cat([_summed(*each, scale) for each in parts], dim=2)

    return attend


def two_softmaxes_behind(media: torch.Tensor, allowed: torch.Tensor) -> Attend:
    """Of text behind a cache: media, boolean [keys], says what the keys are; allowed is [n, keys]."""
    both = _additive(allowed, media.expand_as(allowed)), _additive(allowed, ~media.expand_as(allowed))

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        return _summed(q, k, v, both, scale)

    return attend


_Masks = tuple[torch.Tensor, torch.Tensor]
"""float32 [L, keys] each, to be added to the scores: over media, and over text."""


def _summed(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, masks: _Masks, scale: float) -> torch.Tensor:
    """Softmaxes in float32, as written out: fused kernels keep a row's log-sum-exp, which a row of least
    numbers rounds away, and its gradient with it.
    """
    groups = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(groups, dim=1) for x in (k, v))
    scores = (q @ k.transpose(2, 3)).float() * scale  # [1, heads, L, keys]
    media, text = ((scores + mask).softmax(dim=-1) for mask in masks)
    return (media + text).to(q.dtype) @ v


def _masks(segment: Segment) -> _Masks:
    """Of a context's tokens on each other: over the media's tokens, and over the texts'."""
    length, media = segment.length, segment.media
    if not segment.chain and segment.begins_with_medium:
        raise TrainError(
            "attention = mmca lets a medium that no text precedes see all later text: ask one question at a"
            " time, or begin with a system prompt"
        )
    allowed = segment.mask
    ahead = torch.ones_like(allowed).triu_(1)
    if not segment.chain:  # what follows the prefix is in branches, which do not see each other
        ahead[:, segment.prefix :] = False
    itself = torch.eye(length, dtype=torch.bool, device=media.device)
    over_media = torch.where(media[:, None], itself, media[None, :])
    return _additive(allowed, over_media, ahead), _additive(allowed, ~media.expand(length, -1), ahead)


def _additive(allowed: torch.Tensor, wanted: torch.Tensor, ahead: torch.Tensor | None = None) -> torch.Tensor:
    """0 where a key is allowed and wanted, the least number where it is one of both, else -inf.

    Of what comes later, the wanted keys in `ahead` alone count as one of both.
    """
    later = torch.zeros_like(allowed) if ahead is None else ahead & wanted
    values = torch.full(allowed.shape, -torch.inf, device=allowed.device)
    values.masked_fill_(allowed | later, torch.finfo(torch.float32).min)
    return values.masked_fill_(allowed & wanted, 0.0)
