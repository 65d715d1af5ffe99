"""Each degradation moves the scene statistics meant for it, on real video as on generated."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from config.schema import EncoderSettings
from extract.encoders.nss.encoder import NssEncoder
from extract.errors import EncoderError
from extract.video.decode import decode
from extract.video.sampling import frame_indices
from extract.video.view import Chunk, FrameRequest, View

Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def encoder() -> NssEncoder:
    return NssEncoder(EncoderSettings(name="nss", kind="nss", dtype="float32"))


@pytest.fixture(scope="module")
def generated() -> Frames:
    """uint8 [30, 136, 160]: a disc and a grating that drift to the right, over a shaded background."""
    rows, columns = np.mgrid[0:136, 0:160].astype(np.float32)
    frames = []
    for step in range(30):
        moved = columns - 1.5 * step
        disc = ((rows - 48) ** 2 + (moved - 40) ** 2 < 400) * 70.0
        grating = 25 * np.sign(np.sin(moved / 2.5)) * (rows > 90)
        frames.append(np.clip(70 + rows / 2 + disc + grating, 0, 255))
    return np.array(frames).astype(np.uint8)


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Chunk:
    """The second second of a real video, all of its frames in one request."""
    every = View({"all": FrameRequest(24, "first", max_lines=180, colour="luma")})
    _, chunk = next(islice(decode(shared_data / "videos" / "bikes.mp4", {"every": every}), 1, None))
    return chunk


@pytest.fixture(params=["generated", "real"])
def clip(request: pytest.FixtureRequest) -> Frames:
    """uint8 [T, H, W] of even motion."""
    if request.param == "generated":
        frames: Frames = request.getfixturevalue("generated")
    else:
        frames = request.getfixturevalue("real").frames["all"]
    return frames


def chunk(encoder: NssEncoder, frames: Frames) -> Chunk:
    """The chunk that decoding these frames gives."""
    chosen = {
        name: frames[frame_indices(len(frames), request.count, request.rule)]
        for name, request in encoder.view.requests.items()
    }
    return Chunk(0, 0.0, chosen)


def features(encoder: NssEncoder, frames: Frames) -> dict[str, float]:
    (found,) = encoder.encode([chunk(encoder, frames)])
    values = np.concatenate([found["spatial"].ravel(), found["temporal"].ravel()])
    return dict(zip(encoder.names["spatial"] + encoder.names["temporal"], values.tolist(), strict=True))


def degraded(frames: Frames, kind: str, level: float) -> Frames:
    """The frames under a blur (sigma), noise (deviation), 8x8 blocks (share) or one freeze (share)."""
    if level == 0:
        return frames
    if kind == "blur":
        return np.stack([gaussian_filter(frame, level) for frame in frames])
    if kind == "noise":
        noise = np.random.default_rng(3).normal(0, level, frames.shape)
        return np.clip(frames + noise, 0, 255).astype(np.uint8)
    if kind == "blocks":
        height, width = (side // 8 * 8 for side in frames.shape[1:])
        blocks = frames[:, :height, :width].reshape(len(frames), height // 8, 8, width // 8, 8).astype(float)
        means = blocks.mean(axis=(2, 4), keepdims=True)
        return (blocks + level * (means - blocks)).reshape(len(frames), height, width).astype(np.uint8)
    frozen = frames.copy()
    frozen[4 : 5 + round(level * len(frames))] = frames[4]
    return frozen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "levels", "rising", "falling"),
    [
        ("blur", (0, 0.7, 1.2, 2), ("reblur0",), ("fall0_detailed", "edge_1_2", "octave0_q0.9")),
        ("noise", (0, 4, 10, 20), ("noise_q0.2", "ring7_flattest", "change_octave0_least"), ("reblur0",)),
        (
            "blocks",
            (0, 0.3, 0.6, 0.9),
            ("grid_rows", "grid_columns"),
            ("block_deviation_q0.75",),
        ),
        ("freeze", (0, 0.2, 0.4, 0.6), ("spread_near_share", "spread_longest_standstill"), ()),
    ],
)
def test_degradation_moves_its_features(
    encoder: NssEncoder,
    clip: Frames,
    kind: str,
    levels: tuple[float, ...],
    rising: tuple[str, ...],
    falling: tuple[str, ...],
) -> None:
    rows = [features(encoder, degraded(clip, kind, level)) for level in levels]
    for name in rising:
        assert np.all(np.diff([row[name] for row in rows]) > 0), name
    for name in falling:
        assert np.all(np.diff([row[name] for row in rows]) < 0), name


def test_freeze_is_seen_through_compression(encoder: NssEncoder, real: Chunk) -> None:
    moving = real.frames["all"]
    noise = np.random.default_rng(5).normal(0, 0.3, moving.shape)
    frozen = np.rint(degraded(moving, "freeze", 0.5) + noise).clip(0, 255).astype(np.uint8)
    assert features(encoder, moving)["row_near_share"] < 0.1
    assert features(encoder, frozen)["row_exact_share"] == 0
    assert features(encoder, frozen)["row_near_share"] == pytest.approx(10 / 14, abs=0.1)


@pytest.mark.parametrize("size", [(16, 16), (2, 300), (37, 53), (180, 321)])
@pytest.mark.parametrize("picture", ["noise", "one bright pixel"])
@pytest.mark.parametrize("count", [1, 24])
def test_odd_frames_give_finite_features(
    encoder: NssEncoder, size: tuple[int, int], picture: str, count: int
) -> None:
    frames = np.zeros((count, *size), np.uint8)
    if picture == "noise":
        frames = np.random.default_rng(0).integers(0, 256, (count, *size), dtype=np.uint8)
    if picture == "one bright pixel":
        frames[:, size[0] // 2, size[1] // 2] = 255
    values = np.array(list(features(encoder, frames).values()))
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 30


def test_only_the_asked_streams_are_given(generated: Frames) -> None:
    encoder = NssEncoder(EncoderSettings(name="nss", kind="nss", streams=("temporal",)))
    (found,) = encoder.encode([chunk(encoder, generated)])
    assert list(found) == ["temporal"]
    assert encoder.specification() != NssEncoder(EncoderSettings(name="nss", kind="nss")).specification()
    with pytest.raises(EncoderError, match="expected one or more of"):
        NssEncoder(EncoderSettings(name="nss", kind="nss", streams=("slow",)))
