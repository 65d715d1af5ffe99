"""Equal features for equal pixels, whatever container and codec the same frames came in."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from same_frames import RGB_KINDS, SITED_KINDS, SIZE, YUV_KINDS, write

from extract.video.decode import decode
from extract.video.view import FrameRequest, View

TIMES = [Fraction(n, 25) for n in range(63)]
VIEWS = {
    "seconds": View(
        {
            "native": FrameRequest(25, "first"),
            "small": FrameRequest(8, "uniform", (32, 32)),
            "luma": FrameRequest(2, "middle", colour="luma"),
        }
    ),
    "motion": View({"all": FrameRequest(0, "all", (16, 16))}, Fraction(2), "keep", margin=3),
}
GROUPS = (YUV_KINDS, SITED_KINDS, RGB_KINDS)
TIMELESS = {"h264"}


def read(path, views=VIEWS):
    decoding = decode(path, views)
    chunks = [(name, chunk) for name, chunk in decoding]
    return sorted(chunks, key=lambda found: (found[0], found[1].index)), decoding.info


def assert_same(found, expected):
    assert [(name, chunk.index, chunk.before) for name, chunk in found] == [
        (name, chunk.index, chunk.before) for name, chunk in expected
    ]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        for request, frames in other.frames.items():
            np.testing.assert_array_equal(one.frames[request], frames)


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    folder = tmp_path_factory.mktemp("references")
    return {
        str(kinds[0]): read(write(folder / f"{kinds[0]}.{kinds[0].suffix}", kinds[0], TIMES))
        for kinds in GROUPS
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "like"),
    [(kind, kinds[0]) for kinds in GROUPS for kind in kinds],
    ids=str,
)
def test_the_same_frames_give_the_same_chunks_in_any_container(tmp_path, references, kind, like):
    expected, _ = references[str(like)]
    found, info = read(write(tmp_path / f"v.{kind.suffix}", kind, TIMES))
    assert_same(found, expected)
    assert (info.frames, info.chunks, info.duration_seconds) == (63, 2, pytest.approx(2.52, abs=0.002))
    assert bool(info.warnings) == (kind.suffix in TIMELESS)


def test_only_the_colours_depend_on_where_chroma_is_sampled(references):
    one, other = (references[str(kinds[0])][0] for kinds in (YUV_KINDS, SITED_KINDS))
    for (_, chunk), (_, sited) in zip(one, other, strict=True):
        if "luma" in chunk.frames:
            np.testing.assert_array_equal(chunk.frames["luma"], sited.frames["luma"])


def test_a_gif_shows_its_pictures_at_their_times_and_ends_as_they_do(tmp_path):
    """Its last delay is the pause before it starts over, here a minute."""
    pictures = [Image.fromarray(np.full(SIZE, 8 * n, np.uint8)) for n in range(30)]
    path = tmp_path / "v.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100] * 29 + [60_000])
    chunks, info = read(path, {"seconds": View({"native": FrameRequest(10, "first")})})
    assert [chunk.frames["native"][:, 1, 3, 5].tolist() for _, chunk in chunks] == [
        list(range(80 * second, 80 * second + 80, 8)) for second in range(3)
    ]
    assert info.warnings == (
        "the last frame is declared to last 60.00 s: taken to last as long as the others",
    )
