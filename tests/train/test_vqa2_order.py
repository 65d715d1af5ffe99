"""The order of VQA²'s tokens, their positions and masks, against the authors' numbers."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from random_models import model_of
from safetensors.torch import load_file
from tiny_language import WIDTH

from config.schema import BranchSettings, ProjectorSettings
from train.answers.chat import Piece, Slot, Text
from train.answers.conversation import SLOT, Conversation, Message
from train.data.branches import Features, video_features
from train.errors import ContextExceeded, ConversationError, TrainError
from train.inference.chat import reply
from train.inference.reading import answer
from train.model.order import with_parts
from train.model.packing import embed, lay_out
from train.model.positions import Positions
from train.model.projectors import Projector
from train.model.quality import QualityModel, embedding_table
from train.model.row import Row

KEY, MOTION = ("key_frames",), ("motion",)
SCORER, ASSISTANT = (KEY, MOTION), ((*KEY, *MOTION), MOTION)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    found = shared_data / "reference" / "vqa2"
    if not found.is_dir():
        pytest.skip("the authors' numbers (../shared/data/reference/vqa2) are not on this machine")
    return found


def vqa2_model(*, slots: Any = (), end_token: bool = True, **changes: Any) -> QualityModel:
    """Around a small decoder; key frames of 27 x 27 tokens."""
    own = model_of(max_position_embeddings=32768)
    key = ProjectorSettings(kind="mlp", hidden=(WIDTH,), resample=(14, 14), end_token=end_token)
    motion = ProjectorSettings(kind="mlp", hidden=(WIDTH,), positions=2000)
    torch.manual_seed(2)
    projectors = {
        "key_frames": Projector(key, 729, 4, WIDTH, 1.0),
        "motion": Projector(motion, 1, 5, WIDTH, 1.0),
    }
    return QualityModel(own.decoder, own.prompts, projectors, slots=slots, **changes).eval()


def video(keys: int, frames: int, seed: int, fps: float | None = None) -> Features:
    """As the reader gives it; all tokens of a key frame are alike, and no two key frames or frames are."""
    generator = torch.Generator().manual_seed(seed)
    blocks = {
        "key_frames": torch.randn(keys, 1, 4, generator=generator).expand(-1, 729, -1),
        "motion": torch.randn(frames, 5, generator=generator),
    }
    projector = ProjectorSettings(kind="mlp")
    branch = {n: BranchSettings(encoder=n, stream=n, projector=projector) for n in blocks}
    return video_features(blocks, branch, {"key_frames": 1.0, "motion": None if fps is None else 1 / fps})


def named_tokens(model: QualityModel, videos: Sequence[Features]) -> dict[str, torch.Tensor]:
    """Every token that can be, by name, each projected by itself."""
    key, motion = model.projectors["key_frames"], model.projectors["motion"]
    found = {} if key.end is None else {"newline": key.end}
    for number, own in enumerate(videos, 1):
        for place in range(len(own["key_frames"])):
            found[f"v{number}.key{place}"] = key(own["key_frames"][place : place + 1])[0, 0]
        for place in range(len(own["motion"])):
            numbers = [torch.tensor([place])]
            found[f"v{number}.motion{place}"] = motion(own["motion"][place : place + 1], numbers)[0, 0]
    return found


def names(model: QualityModel, videos: Sequence[Features], row: torch.Tensor) -> list[str]:
    """What each token [V, width] of a row is."""
    known = named_tokens(model, videos)
    labels, candidates = list(known), torch.stack(list(known.values()))
    words = embedding_table(model.decoder).weight
    exact = "donot_use_mm_for_euclid_dist"
    nearest = torch.cdist(row, torch.cat([candidates, words]), compute_mode=exact).min(dim=1)
    assert nearest.values.max() < 1e-4
    return [labels[place] if place < len(labels) else "text" for place in nearest.indices.tolist()]


def runs(tokens: Sequence[str]) -> list[list[Any]]:
    """As the reference writes them: motion is one run."""
    kinds = [name.rstrip("0123456789") if ".motion" in name else name for name in tokens]
    return [[kind, len(list(group))] for kind, group in groupby(kinds)]


def row_of(
    model: QualityModel, videos: Sequence[Features], expected: Sequence[Sequence[Any]], slots: Any
) -> torch.Tensor:
    """The row of a conversation with all slots of each video, and as much text between as expected."""
    text = iter([length for kind, length in expected if kind == "text"])
    shown = tuple(slots) * len(videos)
    numbers = tuple(number for number in range(len(videos)) for _ in slots)
    asked = Conversation(numbers, (Message("user", SLOT * len(shown)),), shown)
    visual = model.visual_tokens(videos)
    tokens, (own,) = with_parts(visual, [asked], lambda n, b: model.part(videos[n], visual[n], b))
    pieces: list[Piece] = [Text((5,) * next(text))]
    for medium in own.media:
        pieces += [Slot(medium), Text((5,) * next(text))]
    row = Row(tokens)
    row.add(pieces)
    layout = lay_out(row.contexts, CPU)
    (segment,) = layout.segments
    assert layout.positions[0].tolist() == list(range(layout.tokens))
    assert torch.equal(segment.mask, torch.ones_like(segment.mask).tril())
    return embed(row.contexts, model.table)[0]


@pytest.mark.parametrize(
    ("copy", "slots"),
    [("llava_finetune", SCORER), ("quality_scoring", SCORER), ("quality_interpreting", ASSISTANT)],
)
def test_blocks_are_the_authors_token_by_token(folder: Path, copy: str, slots: Any) -> None:
    reference = json.loads((folder / "B1_token_order.json").read_text())[copy]
    model = vqa2_model(slots=slots)
    one, two = video(2, 8, 1), video(1, 4, 2)
    expected = reference["one_video_2key_8motion"]
    tokens = names(model, [one], row_of(model, [one], expected["runs"], slots))
    assert len(tokens) == expected["length"] and runs(tokens) == expected["runs"]
    motion = [float(name.removeprefix("v1.motion")) for name in tokens if "motion" in name]
    assert motion == reference["motion_values_order"]
    if both := reference.get("two_videos_k2m8_k1m4"):
        tokens = names(model, [one, two], row_of(model, [one, two], both["runs"], slots))
        assert len(tokens) == both["length"] and runs(tokens) == both["runs"]


@pytest.mark.parametrize("slots", [(), SCORER, ASSISTANT])
def test_a_task_shows_all_slots_after_each_other_and_is_counted_so(slots: Any) -> None:
    model, one = vqa2_model(slots=slots), video(2, 8, 1)
    (tokens,) = model.visual_tokens([one])
    twice = [["v1.motion", 16 if slots == ASSISTANT else 8]]
    assert runs(names(model, [one], tokens)) == [["v1.key0", 196], ["v1.key1", 196], ["newline", 1], *twice]
    assert len(tokens) == model.tokens_of({"key_frames": 2, "motion": 8})
    picture = {"key_frames": one["key_frames"][:1]}
    assert len(model.visual_tokens([picture])[0]) == 197 == model.tokens_of({"key_frames": 1})


def test_two_videos_in_two_conversations_do_not_see_each_other() -> None:
    model, media = vqa2_model(), [video(1, 4, 1), video(2, 8, 2)]
    row = Row(model.visual_tokens(media))
    for number in (0, 1):
        row.add([Text((5,)), Slot(number), Text((6, 7))])
    layout = lay_out(row.contexts, CPU)
    lengths = [1 + 196 + 1 + 4 + 2, 1 + 2 * 196 + 1 + 8 + 2]
    assert [segment.length for segment in layout.segments] == lengths
    assert layout.positions[0].tolist() == [*range(lengths[0]), *range(lengths[1])]
    assert all(torch.equal(s.mask, torch.ones_like(s.mask).tril()) for s in layout.segments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "frames", "fps", "seconds"),
    [
        (3, 10, 4.0, [4, 4, 2]),
        (2, 8, 4.0, [4, 4]),
        (3, 62, 30000 / 1001, [30, 30, 2]),
        (3, 62, 29.97, [30, 30, 2]),
        (3, 63, 25.0000001, [25, 25, 13]),
        (1, 3, 30.0, [3]),
    ],
)
def test_interleaved_is_a_key_frame_and_then_the_motion_of_its_second(
    keys: int, frames: int, fps: float, seconds: list[int]
) -> None:
    model, one, two = vqa2_model(end_token=False), video(keys, frames, 1, fps), video(2, 4, 2, 2.0)
    model.token_order = "interleaved"
    first, second = model.visual_tokens([one, two])
    motion = iter(f"v1.motion{frame}" for frame in range(frames))
    expected = []
    for place, count in enumerate(seconds):
        expected += [f"v1.key{place}"] * 196 + [next(motion) for _ in range(count)]
    assert names(model, [one, two], first) == expected
    other = (
        ["v2.key0"] * 196 + ["v2.motion0", "v2.motion1"] + ["v2.key1"] * 196 + ["v2.motion2", "v2.motion3"]
    )
    assert names(model, [one, two], second) == other
    assert len(first) == model.tokens_of({"key_frames": keys, "motion": frames})
    row = row_of(model, [one, two], [["text", 2], ["text", 1], ["text", 3]], (None,))
    assert names(model, [one, two], row) == ["text"] * 2 + expected + ["text"] + other + ["text"] * 3


def test_slots_cannot_show_blocks_of_interleaved_tokens() -> None:
    model, one = vqa2_model(end_token=False), video(1, 4, 1, 4.0)
    model.token_order = "interleaved"
    with pytest.raises(ConversationError, match="interleaved tokens have no blocks"):
        reply(model, [one, one], [Message("user", f"{SLOT}{SLOT}")], shown=(KEY, MOTION))
    with pytest.raises(ConversationError, match="a slot is to show motion, but the medium has key_frames"):
        reply(vqa2_model(), [{"key_frames": one["key_frames"]}], [Message("user", SLOT)], shown=(MOTION,))
    with pytest.raises(ConversationError, match="1 slots are said what to show, but there are 2"):
        Conversation((0, 0), (Message("user", f"{SLOT}{SLOT}"),), (KEY,))


def test_slots_are_read_as_what_they_show() -> None:
    """A conversation of two slots without text between is that of one slot."""
    model, one = vqa2_model(slots=SCORER), video(1, 4, 1)
    system = Message("system", "You are an expert in video quality.")
    ask = "How good is the quality of this video?"
    whole = reply(model, [one], [system, Message("user", f"{SLOT}{ask}")], max_new_tokens=4)
    parts = [system, Message("user", f"{SLOT}{SLOT}{ask}")]
    assert reply(model, [one, one], parts, shown=SCORER, max_new_tokens=4) == whole
    answers = (Message("assistant", "good"),)
    losses = model(
        [one],
        [
            Conversation((0,), (system, Message("user", f"{SLOT}{ask}"), *answers)),
            Conversation((0, 0), (*parts, *answers), SCORER),
        ],
    )
    torch.testing.assert_close(losses[0], losses[1])


def test_the_cut_at_ten_thousand_is_an_error_with_the_numbers(folder: Path) -> None:
    reference = json.loads((folder / "B1_token_order.json").read_text())["quality_scoring"]
    long, cut = video(50, 400, 3), reference["truncation_50key_400motion_55text"]
    model = vqa2_model(slots=SCORER, max_tokens=10_000)
    visual = model.tokens_of({"key_frames": 50, "motion": 400})
    assert visual + 55 == cut["untruncated_length"] > cut["length"] == model.context
    with pytest.raises(
        ContextExceeded, match=r"takes 10,256 tokens .* at most 10,000 \(decoder\.max_tokens\)"
    ):
        model.check_length(cut["untruncated_length"])
    (tokens,) = model.visual_tokens([long])
    with pytest.raises(
        ContextExceeded, match=r"at most 10,000 \(decoder\.max_tokens\), and nothing is cut off"
    ):
        answer(model, tokens, ["level"])
    assert vqa2_model().context == 32768


def test_positions_are_the_authors_and_any_length_has_them(folder: Path) -> None:
    reference = load_file(folder / "B1_tokens.safetensors")
    table = 0.1 * torch.randn(2000, 256, generator=torch.Generator().manual_seed(42))
    rows = reference["motion.position_embedding_rows_0_1_15_63"]
    torch.testing.assert_close(table[[0, 1, 15, 63]], rows)
    positions = Positions(2000, 256)
    positions.table.data.copy_(table)
    for frames in (16, 64):
        found = reference[f"motion.T{frames}.fast_without_position"] + positions(torch.arange(frames))
        torch.testing.assert_close(found, reference[f"motion.T{frames}.output"], atol=1e-6, rtol=0)
    assert torch.equal(positions(torch.arange(2000)), table)
    longer = positions(torch.arange(3999))  # every row, and the middle between each two
    torch.testing.assert_close(longer[::2], table, atol=1e-5, rtol=0)
    torch.testing.assert_close(longer[1::2], (table[1:] + table[:-1]) / 2, atol=1e-5, rtol=0)


def test_tokens_are_resampled_as_the_authors_do_after_they_are_projected(folder: Path) -> None:
    reference = load_file(folder / "B1_tokens.safetensors")
    projector = Projector(ProjectorSettings(kind="mlp", resample=(14, 14)), 729, 4, 4, 1.0)
    linear = projector.project.layers[0]  # type: ignore[index, union-attr]
    linear.weight.data, linear.bias.data = torch.eye(4), torch.zeros(4)
    found = projector(reference["pool.input"])
    torch.testing.assert_close(found, reference["pool.output_bilinear_14x14"], atol=1e-6, rtol=0)
    assert projector.output_tokens == 196
    with pytest.raises(
        TrainError, match=r"resample = \[14, 14\] is of square maps, but a chunk has 12 tokens"
    ):
        Projector(ProjectorSettings(kind="mlp", resample=(14, 14)), 12, 4, 4, 1.0)
