"""A video of 3,000 frames through VQA²'s encoders and model, which end at 2,000 in the released code."""

from pathlib import Path

import pytest
import torch
from random_models import model_of
from small_videos import encode
from tiny_language import WIDTH
from tiny_slowfast import motion_settings

from config.load import load_settings
from config.schema import EncoderSettings
from extract.encoders.registry import build_encoder
from extract.run.extractor import extract_features
from train.data.branches import Features, video_features
from train.data.items import step_seconds
from train.errors import ContextExceeded
from train.inference.predict import predict
from train.model.projectors import Projector
from train.model.quality import QualityModel

FRAMES, SECONDS = 3000, 100
TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def video(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Features:
    """What the model of `vqa2-scorer-ugc` is given of it, from tiny encoders of the same kinds."""
    path = encode(tmp_path_factory.mktemp("video") / "v.mp4", frames=FRAMES, rate=30, size=(32, 32))
    pipeline = load_settings(root / "pipelines.toml").pipelines["vqa2-scorer-ugc"]
    siglip = EncoderSettings(
        name="siglip", kind="siglip", weights="random:0", architecture={**TINY, "image_size": 28},
        tail="keep", grid=(1, 1), dtype="float32",
    )  # fmt: skip
    encoders = {"key_frames": build_encoder(siglip), "motion": build_encoder(motion_settings())}
    (found,) = extract_features([path], encoders)
    assert not isinstance(found, Exception) and found.info.frames == FRAMES
    stream = {"key_frames": "tokens", "motion": "motion"}
    blocks = {name: torch.from_numpy(found.features[name][stream[name]]) for name in encoders}
    steps = {n: step_seconds(encoder.specification(), found.info.fps) for n, encoder in encoders.items()}
    return video_features(blocks, pipeline.branches, steps)


def model(root: Path, video: Features, **changes: int) -> QualityModel:
    pipeline = load_settings(root / "pipelines.toml").pipelines["vqa2-scorer-ugc"]
    own = model_of(**{"max_position_embeddings": 32768, **changes})
    torch.manual_seed(1)
    projectors = {
        name: Projector(
            branch.projector.model_copy(update={"hidden": (WIDTH,)}), *video[name].shape[1:], WIDTH, 1.0
        )
        for name, branch in pipeline.branches.items()
    }
    return QualityModel(own.decoder, own.prompts, projectors).eval()


@pytest.mark.slow
def test_every_frame_has_a_token_and_a_position_in_both_orders(root: Path, video: Features) -> None:
    own = model(root, video)
    assert video["key_frames"].shape == (SECONDS, 1, 32) and len(video["motion"]) == FRAMES
    (blocks,) = own.visual_tokens([video])
    assert len(blocks) == SECONDS + FRAMES == own.tokens_of({"key_frames": SECONDS, "motion": FRAMES})
    own.token_order = "interleaved"
    (interleaved,) = own.visual_tokens([video])
    keys, motion = blocks[:SECONDS], blocks[SECONDS:].view(SECONDS, 30, WIDTH)
    assert torch.equal(interleaved.view(SECONDS, 31, WIDTH)[:, 0], keys)
    assert torch.equal(interleaved.view(SECONDS, 31, WIDTH)[:, 1:], motion)
    (prediction,) = predict(own, [video])
    assert prediction.score is not None and 0 <= prediction.score <= 100


def test_what_the_decoder_cannot_read_is_refused_with_the_numbers(root: Path, video: Features) -> None:
    with pytest.raises(ContextExceeded, match=r"takes 3,1\d\d tokens .* at most 2,048 .* nothing is cut off"):
        predict(model(root, video, max_position_embeddings=2048), [video])
