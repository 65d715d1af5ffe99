"""The order of a video's tokens: blocks of branches, by slots, or merged by time."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import torch

from train.answers.conversation import Conversation
from train.data.branches import Features
from train.data.items import begins_of
from train.errors import ConversationError

Slots = Sequence[Sequence[str]]
"""The branches whose blocks fill each slot."""


def in_blocks(
    blocks: Mapping[str, torch.Tensor], ends: Mapping[str, torch.Tensor], slots: Slots
) -> torch.Tensor:
    """Tokens [V, width] from those of each branch's chunks [K, T, width]: block after block, slot by slot.

    `ends`: branch → the token [width] behind its block. A medium may lack a branch.
    """
    found = []
    for branch in (branch for slot in slots for branch in slot if branch in blocks):
        found.append(blocks[branch].flatten(0, 1))
        if branch in ends:
            found.append(ends[branch][None])
    return torch.cat(found)


def interleaved(blocks: Mapping[str, torch.Tensor], video: Features) -> torch.Tensor:
    """Tokens [V, width]: chunk after chunk in the order in which they begin.

    Of those that begin together the first branch's is first: a key frame, then the motion of its second.
    """
    chunks = [chunk for branch in blocks for chunk in blocks[branch]]
    begins = torch.cat([begins_of(video, branch) for branch in blocks])
    return torch.cat([chunks[place] for place in begins.argsort(stable=True).tolist()])


def block_spans(
    chunks: Mapping[str, int], tokens: Mapping[str, int], ends: Collection[str], slots: Slots
) -> dict[str, slice]:
    """Branch → where its block first stands among a medium's tokens, the token behind it included.

    `chunks`: of each branch of the medium; `tokens`: of a chunk.
    """
    found: dict[str, slice] = {}
    at = 0
    for branch in (branch for slot in slots for branch in slot if branch in chunks):
        start, at = at, at + chunks[branch] * tokens[branch] + (branch in ends)
        found.setdefault(branch, slice(start, at))
    return found


def part_of(tokens: torch.Tensor, spans: Mapping[str, slice], branches: Sequence[str]) -> torch.Tensor:
    """The blocks of some branches from a medium's tokens [..., V, width].

    Raises ConversationError where it has none of them.
    """
    parts = [tokens[..., spans[branch], :] for branch in branches if branch in spans]
    if not parts:
        raise ConversationError(
            f"a slot is to show {', '.join(branches)}, but the medium has {', '.join(spans)}"
        )
    return torch.cat(parts, dim=-2)


def with_parts(
    tokens: Sequence[torch.Tensor],
    conversations: Sequence[Conversation],
    part: Callable[[int, Sequence[str]], torch.Tensor],
) -> tuple[list[torch.Tensor], list[Conversation]]:
    """Media's tokens and behind them the parts that slots show, and conversations about all of these.

    `part`: the tokens of some branches of the medium of that number.
    """
    found, parts, changed = list(tokens), dict[tuple[int, tuple[str, ...]], int](), []
    for conversation in conversations:
        numbers = []
        for medium, branches in zip(conversation.media, conversation.branches, strict=True):
            if branches is not None and (medium, branches) not in parts:
                parts[medium, branches] = len(found)
                found.append(part(medium, branches))
            numbers.append(medium if branches is None else parts[medium, branches])
        changed.append(replace(conversation, media=tuple(numbers), shown=()))
    return found, changed
