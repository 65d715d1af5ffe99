"""Reading a video once: one pass of the decoder from which scores, levels and written answers all come.

The row is the training's: prefix, then a tree with every question, what its answers begin with alike, and the
forks of the answers' trie. Greedy decoding walks the same tree, and asks the decoder again, behind the pass's
keys and values, only where it writes a token that the tree does not hold.

Several members' tokens go through the pass side by side. An answer's probability is the mean of theirs, and
greedy decoding writes the token that is likeliest in the mean of their distributions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache

from config.schema import TextForm
from train.model.members import contexts_of_members, mean_logits
from train.model.packing import Context, TokenTree, embed, lay_out
from train.model.quality import QualityModel, embedding_table

_SPARE_TOKENS = 16
"""That an answer may have beyond the longest of those that are allowed."""


@dataclass(frozen=True)
class Answer:
    """A task's answer about one video."""

    probabilities: torch.Tensor | None
    """float32, of every allowed answer in the order of their values; they sum to one. None of free text, and
    where the task is read from its text alone."""
    text: str | None
    """What greedy decoding writes; None where the task is not read so."""


@torch.inference_mode()
def answer(model: QualityModel, visual: torch.Tensor, tasks: Sequence[str]) -> dict[str, Answer]:
    """Answers to each task's first phrasing, from one pass over a video's tokens [V, width].

    Of several members [members, V, width].
    Tasks whose prompts differ before the visual tokens take a pass each.
    """
    alike: dict[tuple[int, ...], list[str]] = {}
    for task in tasks:
        alike.setdefault(model.prompts.prompt(task).before, []).append(task)
    answers: dict[str, Answer] = {}
    for together in alike.values():
        reading = Reading(model, visual, together)
        texts = reading.texts()
        for task in together:
            asked = task in model.spaces and model.prompts.tasks[task].read != "text"
            probabilities = reading.probabilities(task) if asked else None
            answers[task] = Answer(probabilities, texts.get(task))
    return {task: answers[task] for task in tasks}


class Reading:
    """One pass over a video's tokens and the questions of tasks that share a prefix.

    The tokens are [V, width], or of several members [members, V, width].
    """

    @torch.inference_mode()
    def __init__(self, model: QualityModel, visual: torch.Tensor, tasks: Sequence[str]) -> None:
        self._model = model
        self._tree = TokenTree()
        self._asked: dict[str, int] = {}
        """Task → the question's last token, behind which the answer stands."""
        self._nodes: dict[str, dict[tuple[int, ...], int]] = {}
        """Task → node of its trie → token of the tree."""
        self._read: dict[int, int] = {}
        """Token of the tree → row of the logits."""
        for task in tasks:
            self._plant(task)
        context = self._context = Context((model.prompts.prompt(tasks[0]).before, visual), self._tree)
        model.check_length(context.prefix + max(self._tree.depths()) + 1)
        contexts = contexts_of_members([context], model.members)
        layout = lay_out(contexts, visual.device)
        self._prefix = context.prefix
        self._places = [torch.arange(each.start, each.start + each.length) for each in layout.segments]
        """Where each member's prefix and tree stand in the cache."""
        self._cache = DynamicCache(config=model.decoder.config)
        embeddings = embed(contexts, model.table).to(model.decoder.dtype)
        if model.embeddings is not None:  # what stands for written text takes the decoder's own
            written = [token for token in self._read if token not in self._asked.values()]
            ids = torch.tensor(
                [self._tree.ids[token] for token in written], dtype=torch.long, device=visual.device
            )
            for segment in layout.segments:
                places = [segment.row(token) for token in written]
                embeddings[0, places] = embedding_table(model.decoder)(ids)
        rows = [segment.row(token) for segment in layout.segments for token in self._read]
        at = torch.tensor(rows, device=visual.device)
        logits = model.packed.logits(model.decoder, embeddings, layout, at, self._cache)
        self._members_logits = logits.view(model.members, -1, logits.shape[-1])  # [members, A, vocab]
        self._logits = mean_logits(self._members_logits)  # [A, vocab]

    def _plant(self, task: str) -> None:
        tree = self._tree
        self._asked[task] = asked = tree.add(self._model.prompts.prompt(task).after)
        space = self._model.spaces.get(task)
        if space is not None:
            nodes = self._nodes[task] = {(): tree.add(space.lead, asked)}
            for fork in space.forks:
                for end in range(1, len(fork) + 1):
                    if fork[:end] not in nodes:
                        nodes[fork[:end]] = tree.add(fork[end - 1 : end], nodes[fork[: end - 1]])
        self._read |= {token: len(self._read) + n for n, token in enumerate(range(asked, len(tree)))}

    @torch.inference_mode()
    def probabilities(self, task: str) -> torch.Tensor:
        """Probability of every allowed answer, float32 [answers]: a product of softmaxes along the trie.

        Of several members the mean of theirs.
        """
        space, device = self._model.spaces[task], self._logits.device
        log_p = torch.zeros(self._model.members, len(space.tails), device=device)
        for node, fork in space.forks.items():
            logits = self._members_logits[:, self._read[self._nodes[task][node]]]  # [members, vocabulary]
            at_fork = logits[:, torch.tensor(fork.tokens, device=device)].log_softmax(dim=1)
            choices, tails = (torch.tensor(indices, device=device) for indices in (fork.choices, fork.tails))
            log_p[:, tails] += at_fork[:, choices]
        return log_p.exp().mean(dim=0)

    @torch.inference_mode()
    def texts(self) -> dict[str, str]:
        """What greedy decoding writes for each task that is read so, up to the end of turn."""
        tasks = self._model.prompts.tasks
        at = {task: place for task, place in self._asked.items() if tasks[task].read != "probabilities"}
        written: dict[str, list[int]] = {task: [] for task in at}
        while at:
            beyond = {}
            for task in list(at):
                spare = 0 if isinstance(tasks[task].form, TextForm) else _SPARE_TOKENS
                limit = self._model.prompts.answer_tokens(task) + spare
                at[task], token = self._walk(at[task], written[task], limit)
                if token is None:
                    del at[task]
                else:
                    beyond[task] = self._tree.add([token], at[task])
            if beyond:
                self._continue(list(beyond.values()))
            at = beyond
        return {task: self._model.prompts.chat.text(ids) for task, ids in written.items()}

    def _walk(self, at: int, written: list[int], limit: int) -> tuple[int, int | None]:
        """Write the likeliest tokens as far as the tree holds them: the place, and the token beyond it."""
        while len(written) < limit:
            token = int(self._logits[self._read[at]].argmax())
            if token == self._model.prompts.chat.end_of_turn:
                break
            written.append(token)
            if len(written) == limit:
                break
            child = self._tree.child(at, token)
            if child is None:
                return at, token
            at = child
        return at, None

    def _continue(self, tokens: list[int]) -> None:
        """Read behind the tree's newest tokens, of all members."""
        model, device, count, members = self._model, self._logits.device, len(tokens), self._model.members
        table = embedding_table(model.decoder)
        ids = torch.tensor([self._tree.ids[token] for token in tokens] * members, device=device)
        depths = self._tree.depths()
        positions = torch.tensor(
            [[self._prefix + depths[token] for token in tokens] * members], device=device
        )
        own = torch.cat(
            [torch.ones(count, self._prefix, dtype=torch.bool), self._tree.ancestors()[tokens]], dim=1
        )
        cached = sum(map(len, self._places))
        new = torch.arange(cached, cached + members * count).view(members, count)
        self._places = [torch.cat(pair) for pair in zip(self._places, new, strict=True)]
        allowed = torch.zeros(members, count, cached + members * count, dtype=torch.bool)
        media = torch.zeros(cached + members * count, dtype=torch.bool)
        for each, places in zip(allowed, self._places, strict=True):
            each[:, places] = own
            media[places] = self._context.media()
        more = model.packed.continued(
            model.decoder,
            table(ids)[None],
            positions,
            allowed.flatten(0, 1).to(device),
            media.to(device),
            self._cache,
        )
        self._read |= {token: len(self._logits) + n for n, token in enumerate(tokens)}
        self._logits = torch.cat([self._logits, mean_logits(more.view(members, count, -1))])
