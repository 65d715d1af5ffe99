"""How soon a follow-up question's answer begins, in parts of the first question's time.

    python benchmarks/ask.py [--layers 2 --hidden 256 --tokens 1024 --videos 2 --device cpu]

A random decoder of Llama-3's proportions, videos of so many visual tokens each, three turns. `--full` is a
decoder of 8 billion parameters and two videos of 3,072 tokens, on a GPU; `--tiny` no size at all.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.step_model import step_batch, step_model
from config.schema import StepSettings
from evaluate.chat.conversation import FirstToken
from train.answers.conversation import SLOT, Message
from train.inference.talk import Talk

QUESTIONS = (
    "How good is the quality of this video?",
    "What is the quality level of this video?",
    "Please rate the visual quality of this video.",
)
ANSWER_TOKENS = 8
SIZES = {
    "usual": {"layers": 2, "hidden": 256, "vocabulary": 16_384, "tokens": 1024, "rounds": 5},
    "full": {"layers": 32, "hidden": 4096, "vocabulary": 128_256, "tokens": 3072, "rounds": 3},
    "tiny": {"layers": 1, "hidden": 128, "vocabulary": 512, "tokens": 64, "rounds": 1},
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds to the first token of each turn, kept and read anew: medians over the rounds."""
    dtype = torch.bfloat16 if options.device.startswith("cuda") else torch.float32
    kind = {"vocabulary": options.vocabulary, "device": options.device, "dtype": dtype}
    model = step_model(options.layers, options.hidden, options.tokens, StepSettings(), **kind).eval()
    videos, _ = step_batch(model, options.videos, options.tokens, options.device)
    rounds, alike = [], True
    for _ in range(options.rounds + 1):  # the first warms up
        kept, said, seconds = Talk(model, videos), list[Message](), list[tuple[float, float]]()
        for number, question in enumerate(QUESTIONS):
            said.append(Message("user", question if number else f"{SLOT} " * len(videos) + question))
            clocks, texts = [], []
            for talk in (kept, Talk(model, videos)):
                clocks.append(FirstToken(None))
                texts.append(talk.reply(said, streamer=clocks[-1], max_new_tokens=ANSWER_TOKENS))
            alike &= texts[0] == texts[1]
            seconds.append((clocks[0].seconds, clocks[1].seconds))
            said.append(Message("assistant", texts[0]))
        rounds.append(seconds)
    turns = range(len(QUESTIONS))
    return {
        "seconds": [statistics.median(r[turn][0] for r in rounds[1:]) for turn in turns],
        "anew_seconds": [statistics.median(r[turn][1] for r in rounds[1:]) for turn in turns],
        "of_first": [statistics.median(r[turn][0] / r[0][0] for r in rounds[1:]) for turn in turns],
        "same_texts": alike,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in SIZES["usual"]:
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--videos", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    for name in ("full", "tiny"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for name, value in SIZES["tiny" if options.tiny else "full" if options.full else "usual"].items():
        setattr(options, name, getattr(options, name) or value)
    found = measure(options)
    print(f"{options.videos} videos of {options.tokens} tokens, {options.device}: to the first token")
    for turn in range(len(QUESTIONS)):
        kept, anew = (1000 * found[name][turn] for name in ("seconds", "anew_seconds"))
        share = found["of_first"][turn]
        print(f"  turn {turn + 1}: {kept:8.1f} ms, {share:.3f} of the first turn; read anew {anew:8.1f} ms")
    print("the texts are the same" if found["same_texts"] else "the texts differ by rounding")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
