"""The encoder of VIDEVAL's features: from files to a store, and against published numbers."""

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest
from extraction import run_job
from pydantic import ValidationError
from scipy.io import loadmat
from seen_chunks import decoded_chunks
from small_videos import encode

from config.load import load_settings
from config.schema import EncoderSettings
from distort.degrade import FREEZE_SHARE, STEPS, write_degraded
from distort.footage import read_footage
from extract.encoders.base import WholeVideoEncoder
from extract.encoders.registry import build_encoder
from extract.encoders.videval.encoder import VidevalEncoder
from extract.encoders.videval.pooling import FRAME_NAMES, NAMES
from extract.errors import EncoderError
from extract.run.extractor import extract_features
from extract.tasks import VideoTask
from extract.video.decode import decode
from extract.workers.messages import Ended, Finished
from extract.workers.worker import video_messages, worker_config
from store.features import FeatureStore

# Measured on the three videos, as shares of the number: AGGD fits of rounding noise where a picture is flat,
# up to 4.4e-2; Lab, which MATLAB converts to in 16 bits, 9.8e-3 in three and 5.6e-4 in five more; all others
# 1.7e-7.
BOUNDS = {
    **dict.fromkeys(
        ["m_br9", "m_br23", "m_br29", "m_fc4", "m_fc15", "s_br5", "s_fl8", "s_fl32", "s_fc7"], 0.08
    ),
    **dict.fromkeys(["m_fc24", "m_fc47", "m_fc79"], 0.02),
    **dict.fromkeys(["m_fc26", "m_fc60", "m_fc62", "m_fc72", "m_fc73"], 1e-3),
}
USUAL_BOUND = 1e-6


BOTH = ("features", "frames")


def settings(**changes) -> EncoderSettings:
    usual = {"name": "videval", "kind": "videval", "dtype": "float32", "streams": BOTH}
    return EncoderSettings(**{**usual, **changes})


def video_features(path: Path, threads: int = 1, **changes):
    """Stream → array, of one video."""
    encoder = VidevalEncoder(settings(**changes))
    config = worker_config({"videval": encoder}, threads)
    *_, finished, ended = video_messages(VideoTask("v", path, ("videval",)), config)
    assert isinstance(finished, Finished) and isinstance(ended, Ended)
    return finished.features


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("videos") / "v.mp4", frames=45, rate=12, size=(66, 98))


@pytest.fixture(scope="module")
def features(video):
    return video_features(video)


def test_it_is_built_by_its_kind_and_finishes():
    encoder = build_encoder(settings())
    assert isinstance(encoder, VidevalEncoder) and isinstance(encoder, WholeVideoEncoder)
    assert {name: stream.shape for name, stream in encoder.streams.items()} == {
        "features": (1, 60),
        "frames": (50,),
    }
    assert (len(encoder.names["features"]), len(encoder.names["frames"])) == (60, 50)


def test_a_second_has_sixty_numbers_and_a_sampled_frame_fifty(features):
    # Every fourth frame, 1 to 41; blocks of four of them, three in all; details of 5, 17, 29 and 41.
    assert features["features"].shape == (4, 1, 60)
    assert features["frames"].shape == (11, 50)
    for array in features.values():
        assert array.dtype == np.float32 and np.isfinite(array).all()


def test_numbers_do_not_depend_on_how_many_threads_compute_them(video, features):
    for threads in (2, 3):
        found = video_features(video, threads)
        for stream, expected in features.items():
            np.testing.assert_array_equal(found[stream], expected)


def test_frames_of_a_chunk_do_not_depend_on_the_other_chunks(video):
    encoder = VidevalEncoder()
    chunks = [
        (chunk, {name: frames.copy() for name, frames in chunk.frames.items()})
        for chunk in decoded_chunks(video, encoder)
    ]
    together = encoder.encode([chunk for chunk, _ in chunks])
    for (chunk, frames), expected in zip(reversed(chunks), reversed(together), strict=True):
        (alone,) = encoder.encode([chunk])
        for name, numbers in expected.items():
            np.testing.assert_array_equal(alone[name], numbers)
        for name, kept in frames.items():
            np.testing.assert_array_equal(chunk.frames[name], kept)  # encode leaves them as they were


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_features_reach_a_store_and_come_back(tmp_path, video, features, workers):
    encoder = VidevalEncoder(settings())
    _, summary = run_job(tmp_path, {"videval": encoder}, {"v": video}, workers=workers)
    assert summary.done == 1
    stored = FeatureStore(tmp_path).find("set", "videval")
    for stream, expected in features.items():
        np.testing.assert_array_equal(stored.read("v", stream), expected)


def test_they_are_given_without_a_store(video, features):
    (found,) = extract_features([video], {"videval": VidevalEncoder(settings(streams=("features",)))})
    assert found.features["videval"].keys() == {"features"}
    np.testing.assert_array_equal(found.features["videval"]["features"], features["features"])


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 10])
def test_the_shortest_videos_have_features(tmp_path, frames):
    path = encode(tmp_path / "v.mp4", frames=frames, rate=30)
    found = video_features(path)
    assert (found["features"].shape, found["frames"].shape) == ((1, 1, 60), (1, 50))
    assert np.isfinite(found["features"]).all()
    detail = found["features"][0, 0, NAMES.index("hcf1")]
    assert detail > 0


@pytest.mark.parametrize("size", [(2, 2), (17, 400), (96, 64)])
@pytest.mark.parametrize("level", [None, 0, 130])
def test_pictures_of_any_size_and_content_have_features(tmp_path, size, level):
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    picture = noise if level is None else np.full_like(noise, level)
    path = encode(tmp_path / "v.mkv", frames=12, rate=5, size=size, codec="ffv1", picture=picture)
    assert np.isfinite(video_features(path)["features"]).all()


def test_nothing_moves_and_nothing_stands_out_in_a_still_grey_video(tmp_path):
    grey = np.full((64, 96, 3), 128, np.uint8)
    path = encode(tmp_path / "v.mkv", frames=20, rate=5, codec="ffv1", picture=grey)
    found = dict(zip(NAMES, video_features(path)["features"].mean((0, 1)), strict=True))
    still = {name: found[name] for name in ("m_lcf1", "m_lcf18", "s_lcf19", "hcf1", "hcf30", "s_gm2")}
    assert still == dict.fromkeys(still, 0)


@pytest.mark.parametrize(
    ("variant", "rows"),
    [("light480-3fps", 11), ("light720-3fps", 11), ("light720-6fps", 21), ("full", 21)],
)
def test_variants_see_other_frames_and_have_other_keys(video, variant, rows):
    assert len(video_features(video, variant=variant)["frames"]) == rows
    specifications = [
        VidevalEncoder(settings(variant=other)).specification() for other in ("light480-3fps", variant)
    ]
    assert (specifications[0] == specifications[1]) == (variant == "light480-3fps")


def test_light_variants_look_at_smaller_pictures(tmp_path):
    path = encode(tmp_path / "v.mp4", frames=4, rate=5, size=(482, 484))
    small, large = (
        video_features(path, variant=variant)["frames"] for variant in ("light480-3fps", "light720-3fps")
    )
    deviation = FRAME_NAMES.index("fl27")
    assert small[0, deviation] != large[0, deviation]


def test_the_usual_variant_and_the_streams_that_are_kept():
    usual = VidevalEncoder().specification()
    assert usual == VidevalEncoder(settings(variant="light480-3fps", streams=None)).specification()
    assert list(VidevalEncoder(settings(streams=None)).streams) == ["features"]
    assert VidevalEncoder(settings(streams=BOTH)).specification() != usual
    with pytest.raises(EncoderError, match=r"streams is \['spatial'\]"):
        VidevalEncoder(settings(streams=("spatial",)))


@pytest.mark.slow
def test_frozen_copies_of_a_camera_clip_stand_still_for_as_long_as_they_do(shared_data, tmp_path):
    footage = read_footage(shared_data / "videos" / "8069880437.mp4", 3.0, 240)
    shares = []
    for step in range(STEPS + 1):
        copy = write_degraded(footage, tmp_path / f"{step}.mp4", "freeze", step)
        still = video_features(copy, streams=("features", "still"))["still"]
        assert still.shape[1:] == (1, 1)
        shares.append(still.mean())
    assert shares[0] == 0 and shares[2] > 0
    np.testing.assert_allclose(shares[3:], FREEZE_SHARE[2:], atol=0.2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dtype": "float16"}, "choose float32"),
        ({"dtype": "int8"}, "choose float32"),
        ({"kind": "nss", "variant": "full"}, "of kind 'videval' alone"),
        ({"variant": "light"}, "light480-3fps"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, reason):
    with pytest.raises(ValidationError, match=reason):
        settings(**changes)


def test_the_variants_of_the_settings_file_can_be_built_and_sent_to_a_process(root):
    encoders = load_settings(root / "pipelines.toml").encoders
    variants = {
        name: pickle.loads(pickle.dumps(build_encoder(one))).specification()["variant"]
        for name, one in encoders.items()
        if one.kind == "videval"
    }
    assert variants == {
        "videval": "light480-3fps",
        "videval-still": "light480-3fps",
        "videval-light720-3fps": "light720-3fps",
        "videval-light720-6fps": "light720-6fps",
        "videval-full": "full",
    }


def test_the_first_frames_of_a_real_video_have_the_original_s_numbers(shared_data):
    reference = np.load(shared_data / "reference" / "videval" / "videos_rows.npz")
    saw = "video-1621367634|light480_3fps"
    encoder = VidevalEncoder()
    decoding = decode(shared_data / "videos" / "video-1621367634.mp4", {"videval": encoder.view})
    (numbers,) = encoder.encode([next(decoding)[1]])
    decoding.close()
    expected = np.concatenate(
        [
            reference[f"{saw}|static43_fc47scale2"][:3],
            reference[f"{saw}|lcf_prev_lastnext_3fps"][:3],
        ],
        axis=1,
    )
    expected[:, FRAME_NAMES.index("fc47")] = reference[f"{saw}|fc47_scale1"][:3]
    loose = {name[2:] for name in BOUNDS}
    close = [name not in loose for name in FRAME_NAMES]
    np.testing.assert_allclose(numbers["rows"][:, close], expected[:, close], rtol=1e-6)
    np.testing.assert_allclose(numbers["rows"][0, -7:], expected[0, -7:], rtol=1e-9)
    np.testing.assert_allclose(numbers["high"], reference[f"{saw}|hcf"][:1], rtol=1e-9)


def published(shared_data: Path, video: str):
    """[60], of a video of KoNViD-1k, or of the original program's on the other one."""
    if not video.isdecimal():
        rows = np.load(shared_data / "reference" / "videval" / "videos_rows.npz")
        return rows[f"vec60|_light480_3fps|{video}|octave as published (prev=last next, fc47 s1)"]
    with (shared_data / "labels" / "KoNViD-1k" / "KONVID_1K_metadata.csv").open() as file:
        videos = [row["flickr_id"] for row in csv.DictReader(file)]
    matrix = loadmat(shared_data / "features" / "KONVID_1K_VIDEVAL_light480_3fps_feats.mat")["feats_mat"]
    return matrix[videos.index(video)]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("file", "video"),
    [
        ("10053703034.mp4", "10053703034"),
        ("2999049224_original_centercrop_960x540_8s.mp4", "2999049224"),
        ("video-1621367634.mp4", "video-1621367634"),
    ],
)
def test_the_vectors_of_real_videos_are_the_published_ones(shared_data, file, video):
    vector = video_features(shared_data / "videos" / file, threads=2)["features"].mean((0, 1), np.float64)
    expected = published(shared_data, video)
    for name, found, wanted in zip(NAMES, vector, expected, strict=True):
        assert found == pytest.approx(wanted, rel=BOUNDS.get(name, USUAL_BOUND)), name
