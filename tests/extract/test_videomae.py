import numpy as np
import pytest
import torch
from seen_chunks import decoded_chunks, random_chunks, stacked
from small_videos import encode
from torch.nn.functional import adaptive_avg_pool3d
from transformers import VideoMAEConfig, VideoMAEForPreTraining, VideoMAEModel
from transformers.models.videomae.image_processing_pil_videomae import VideoMAEImageProcessorPil

from config.schema import EncoderSettings
from extract.encoders.registry import build_encoder
from extract.encoders.vit.videomae import VideoMaeEncoder
from extract.errors import EncoderError

TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 64,
    "num_frames": 8,
}


def videomae_settings(**changes):
    values = {"name": "tiny-videomae", "kind": "videomae", "weights": "random:0", "architecture": TINY}
    return EncoderSettings(**{**values, "dtype": "float32", **changes})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder of a pretraining model as published, decoder included, with weights that tell pictures apart."""
    torch.manual_seed(5)
    config = VideoMAEConfig(
        **TINY,
        use_mean_pooling=False,
        decoder_hidden_size=8,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
    )
    model = VideoMAEForPreTraining(config)
    for weight in model.videomae.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.2)
    folder = tmp_path_factory.mktemp("weights") / "videomae"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def chunks():
    return random_chunks(VideoMaeEncoder(videomae_settings()), 2)


def hidden_states(folder, chunks, layer):
    """What transformers' own normalisation and model give: [N, 64, 32]."""
    processor = VideoMAEImageProcessorPil(
        do_resize=False,
        do_center_crop=False,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    videos = [list(chunk.frames["frames"]) for chunk in chunks]
    pixels = processor(videos, input_data_format="channels_first", return_tensors="pt").pixel_values
    assert pixels.shape == (2, 8, 3, 64, 64)
    model = VideoMAEModel.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(pixels, output_hidden_states=True).hidden_states[layer]


@pytest.mark.parametrize("layer", [-1, -2, 1])
def test_tokens_are_the_hidden_states_of_transformers_own_model(saved, chunks, layer):
    encoder = VideoMaeEncoder(videomae_settings(weights=str(saved), layer=layer))
    assert encoder.streams["tokens"].shape == (4, 4, 4, 32)
    expected = hidden_states(saved, chunks, layer).reshape(2, 4, 4, 4, 32)
    np.testing.assert_allclose(stacked(encoder.encode(chunks), "tokens"), expected, atol=2e-4)


def test_the_map_keeps_time_and_space_in_order(saved):
    """A change of the last two frames' lower right corner shows most in the map's last element."""
    encoder = VideoMaeEncoder(videomae_settings(weights=str(saved), layer=1))
    one, other = random_chunks(encoder, 1), random_chunks(encoder, 1)
    other[0].frames["frames"][6:, :, 48:, 48:] ^= 255
    features = [encoder.encode(chunks)[0]["tokens"] for chunks in (one, other)]
    change = np.abs(features[0] - features[1]).sum(-1)[0]
    assert np.unravel_index(change.argmax(), change.shape) == (3, 3, 3)


def test_the_grid_pools_the_map(saved, chunks):
    encoder = VideoMaeEncoder(videomae_settings(weights=str(saved), grid=(2, 4, 1)))
    assert encoder.streams["tokens"].shape == (2, 4, 1, 32)
    maps = hidden_states(saved, chunks, -2).reshape(2, 4, 4, 4, 32).permute(0, 4, 1, 2, 3)
    expected = adaptive_avg_pool3d(maps, (2, 4, 1)).permute(0, 2, 3, 4, 1)
    np.testing.assert_allclose(stacked(encoder.encode(chunks), "tokens"), expected, atol=2e-4)


def test_the_default_is_videomae_base():
    encoder = build_encoder(videomae_settings(architecture={"num_hidden_layers": 2, "intermediate_size": 16}))
    assert encoder.streams["tokens"].shape == (8, 14, 14, 768)
    request = encoder.view.requests["frames"]
    assert (request.count, request.rule, request.size) == (16, "uniform", (224, 224))
    assert (request.resize, request.interpolation) == ("stretch", "bilinear")


def test_a_video_gives_one_map_a_second(tmp_path):
    encoder = VideoMaeEncoder(videomae_settings())
    chunks = decoded_chunks(encode(tmp_path / "v.mp4", frames=45, rate=20), encoder)
    assert stacked(encoder.encode(chunks), "tokens").shape == (2, 4, 4, 4, 32)


@pytest.mark.parametrize("changes", [{"frames_per_chunk": 16}, {"input_size": 224}])
def test_an_input_without_positions_is_refused(changes):
    with pytest.raises(EncoderError, match=r"positions for (8|64) alone: leave it out"):
        VideoMaeEncoder(videomae_settings(**changes))
