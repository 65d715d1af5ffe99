"""How soon a follow-up question's answer begins, in parts of the first question's time.

    python benchmarks/ask.py [--layers 2 --hidden 256 --tokens 1024 --videos 2 --device cpu]

A random decoder of Llama-3's proportions, videos of so many visual tokens each, three turns.
"""

import argparse
import statistics

import torch
from step_model import step_batch, step_model

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
VOCABULARY = 16_384


def main() -> None:
    """Print seconds to the first token of each turn, medians over the rounds, kept and read anew."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, value in (("layers", 2), ("hidden", 256), ("tokens", 1024), ("videos", 2), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    dtype = torch.bfloat16 if options.device.startswith("cuda") else torch.float32
    sizes = options.layers, options.hidden, options.tokens
    kind = {"vocabulary": VOCABULARY, "device": options.device, "dtype": dtype}
    model = step_model(*sizes, StepSettings(), **kind).eval()
    videos, _ = step_batch(model, options.videos, options.tokens, options.device)
    rounds: list[list[float]] = []
    for _ in range(options.rounds + 1):
        kept, said, seconds = Talk(model, videos), list[Message](), list[float]()
        for number, question in enumerate(QUESTIONS):
            shown = "" if number else f"{SLOT} " * len(videos)
            said.append(Message("user", shown + question))
            texts = []
            for talk in (kept, Talk(model, videos)):
                clock = FirstToken(None)
                texts.append(talk.reply(said, streamer=clock, max_new_tokens=ANSWER_TOKENS))
                seconds.append(clock.seconds)
            assert texts[0] == texts[1] or dtype == torch.bfloat16, "the answers differ"
            said.append(Message("assistant", texts[0]))
        rounds.append(seconds)
    times = [statistics.median(column) for column in zip(*rounds[1:], strict=True)]
    ratios = [statistics.median(r[place] / r[0] for r in rounds[1:]) for place in range(len(times))]
    print(f"{options.videos} videos of {options.tokens} tokens, {options.device}: to the first token")
    for number in range(len(QUESTIONS)):
        kept_at, anew_at = 2 * number, 2 * number + 1
        print(
            f"  turn {number + 1}: {1000 * times[kept_at]:8.1f} ms, {ratios[kept_at]:.3f} of the first turn;"
            f" read anew {1000 * times[anew_at]:8.1f} ms"
        )


if __name__ == "__main__":
    main()
