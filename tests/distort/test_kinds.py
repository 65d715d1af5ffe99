"""What the strengths mean in numbers: built in, and from a file."""

from pathlib import Path

import pytest

from distort.kinds import KINDS, StrengthsError, UnknownDistortion, with_strengths


@pytest.mark.parametrize("key", KINDS)
def test_the_built_in_numbers_are_worse_from_each_to_the_next(key: str) -> None:
    kind = KINDS[key]
    assert kind.takes(kind.strengths) and not kind.takes(kind.strengths[::-1])


def test_numbers_of_a_file_replace_those_of_its_kinds(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "gaussian-blur = [0.1, 0.5, 1, 2, 5]\n"
        "contrast = [0.9, 0.7, 0.5, 0.3, 0.1]\nav1 = [30.0, 40, 50, 60, 70]\n"
    )
    kinds = with_strengths(file)
    assert kinds["gaussian-blur"].strengths == (0.1, 0.5, 1, 2, 5)
    assert kinds["contrast"].strengths == (0.9, 0.7, 0.5, 0.3, 0.1)
    assert kinds["noise"] == KINDS["noise"] and list(kinds) == list(KINDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gaussian-blur = [7, 4, 2.3, 1.3, 0.7]", "5 numbers that rise, from 0.1 to 100 (sigma in pixels)"),
        ("gaussian-blur = [1, 2, 2, 3, 4]", "5 numbers that rise, from 0.1 to 100 (sigma in pixels)"),
        (
            "contrast = [3, 4, 5, 6, 7]",
            "5 numbers that fall, from 0.01 to 0.99 (what is left of the contrast)",
        ),
        ("contrast = [0.2, 0.4, 0.5, 0.6, 0.7]", "5 numbers that fall, from 0.01 to 0.99"),
        ("stutter = [0.2, 0.4, 0.6, 0.8, 2]", "5 numbers that rise, from 0.02 to 0.95"),
        ("resample = [0.1, 2, 3, 4, 5]", "5 numbers that rise, from 1.1 to 64"),
        ("blocking = [200, 50, 40, 30, 20]", "5 whole numbers that fall, from 1 to 95 (JPEG quality"),
        ("blocking = [7.4, 7.2, 7.1, 6, 5]", "5 whole numbers that fall, from 1 to 95 (JPEG quality"),
        ("h264 = [99, 100, 101, 102, 103]", "5 numbers that rise, from 13 to 51 (CRF of x264)"),
        ("h264 = [20, 30, 40, 50]", "5 numbers that rise"),
        ("h264 = [20, 30, nan, 40, 50]", "5 numbers that rise"),
        ("h264 = [true, 30, 35, 40, 50]", "5 numbers that rise"),
        ("h264 = 'abcde'", "5 numbers that rise"),
    ],
)
def test_numbers_that_would_be_false_labels_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(StrengthsError) as refused:
        with_strengths(file)
    found = text.replace("true", "True")
    assert str(refused.value).startswith(f"{file}: {found}, expected {expected}")


def test_a_file_of_unknown_kinds_or_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("gausian-blur = [1, 2, 3, 4, 5]")
    with pytest.raises(UnknownDistortion, match="did you mean 'gaussian-blur'"):
        with_strengths(file)
    with pytest.raises(StrengthsError, match=r"absent\.toml cannot be read as TOML: .*No such file"):
        with_strengths(tmp_path / "absent.toml")
