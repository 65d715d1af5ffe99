"""What a file's own headers say of its size: bytes of Matroska, AVI and ASF, and of a fragmented MP4."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

_EBML_HEADER, _EBML_SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_BROADCAST = 1
_ASF_DATA_HEADER = 50
_LARGEST_MOOV = 16 * 2**20
_MP4_BOXES = {
    *(b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"ssix", b"emsg", b"prft"),
    *(b"mfra", b"free", b"skip", b"wide", b"uuid", b"meta", b"pdin"),
}
_NO_CONTENT = {b"free", b"skip", b"wide", b"uuid"}
"""What lacks of them at the end of a file is nothing that could be shown."""


def declared_bytes(path: Path) -> int | None:
    """How long a Matroska, AVI or ASF file says it is; None for others, and where it does not say."""
    with path.open("rb") as file:
        header = file.read(4096)
        if header[:4] == _EBML_HEADER:
            return _matroska_bytes(header)
        if header[:4] == b"RIFF" and header[8:12] == b"AVI ":
            return _avi_bytes(file)
        return _asf_bytes(header) if header[:16] == _ASF_HEADER else None


def _matroska_bytes(header: bytes) -> int | None:
    length, after = _ebml_size(header, 4)
    segment = after + (length or 0)
    if header[segment : segment + 4] != _EBML_SEGMENT:
        return None
    length, after = _ebml_size(header, segment + 4)
    return None if length is None else after + length


def _ebml_size(data: bytes, at: int) -> tuple[int | None, int]:
    """(the EBML number at that place, None if unknown; the place after it); see RFC 8794, section 4."""
    if at >= len(data):
        return None, at
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else value, at + width


def _avi_bytes(file: BinaryIO) -> int | None:
    """An AVI is one chunk, or several of a gigabyte each (OpenDML)."""
    end = 0
    while True:
        file.seek(end)
        header = file.read(8)
        if header[:4] != b"RIFF" or len(header) < 8:
            return end or None
        (size,) = struct.unpack("<I", header[4:])
        if size in (0, 0xFFFFFFFF):  # a recorder that was never stopped
            return None
        end += 8 + size + size % 2


def _asf_bytes(header: bytes) -> int | None:
    """To the end of its packets, behind which an index may lie; of a broadcast, the numbers mean nothing.

    See the Advanced Systems Format specification, sections 3.2 and 5.
    """
    at = header.find(_ASF_FILE_PROPERTIES)
    if at < 0 or at + 96 > len(header):
        return None
    (header_bytes,) = struct.unpack_from("<Q", header, 16)
    file_bytes, _, packets = struct.unpack_from("<QQQ", header, at + 40)
    flags, packet_bytes = struct.unpack_from("<II", header, at + 88)
    if flags & _ASF_BROADCAST or not file_bytes:
        return None
    packets_end = header_bytes + _ASF_DATA_HEADER + packets * packet_bytes
    declared: int = min(file_bytes, packets_end) if packets else file_bytes
    return declared


@dataclass(frozen=True)
class Fragments:
    """What an MP4 says that is written fragment by fragment, as browsers and phones record (moof, mdat).

    bytes: to the end of its last box, or of all the fragments that an index at its start (sidx) names.
    all_named: whether such an index, or one at its end (mfra), tells that no other fragment follows.
    seconds: from the beginning to the end of its longest stream (mehd); None where it does not say.
    """

    bytes: int
    all_named: bool
    seconds: Fraction | None


def fragments(path: Path) -> Fragments | None:
    """None for an MP4 in one piece. See ISO/IEC 14496-12, sections 8.8 and 8.16.3."""
    end = media_end = 0
    fragmented = closed = False
    moov, indices = b"", list[tuple[int, bytes]]()
    with path.open("rb") as file:
        for kind, content, after in _boxes(file):
            if kind in _NO_CONTENT:
                continue
            end, closed = after, kind == b"mfra"
            fragmented = fragmented or kind == b"moof"
            if kind == b"moov" or (kind == b"sidx" and not fragmented):
                file.seek(content)
                box = file.read(min(after - content, _LARGEST_MOOV))
                moov, indices = (box, indices) if kind == b"moov" else (moov, [*indices, (after, box)])
            elif kind in (b"moof", b"mdat"):
                media_end = after
    if not fragmented:
        return None
    indexed = max((after + _referenced_bytes(sidx) for after, sidx in indices), default=0)
    return Fragments(max(end, indexed), closed or indexed >= media_end, _movie_seconds(moov))


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its content begins, where it ends) of an MP4's boxes; the last may end past the file."""
    at, length = 0, file.seek(0, SEEK_END)
    while at < length:
        file.seek(at)
        header = file.read(16)
        size, content = int.from_bytes(header[:4]), at + 8
        if size == 1:
            size, content = int.from_bytes(header[8:]), at + 16
        if header[4:8] not in _MP4_BOXES or size < content - at:
            return
        yield header[4:8], content, at + size
        at += size


def _movie_seconds(moov: bytes) -> Fraction | None:
    extends, header = moov.find(b"mehd") + 4, moov.find(b"mvhd") + 4
    if extends < 4 or header < 4 or len(moov) < max(extends + 8, header + 24):
        return None
    ticks = moov[extends + 4 : extends + (12 if moov[extends] else 8)]  # 64 bits from version 1 on
    scale = header + (20 if moov[header] else 12)
    return Fraction(int.from_bytes(ticks), int.from_bytes(moov[scale : scale + 4]) or 1)


def _referenced_bytes(sidx: bytes) -> int:
    """How far from its end the fragments reach that a segment index names; 0 where it names only one."""
    if len(sidx) < 28:
        return 0
    start, end = (20, 28) if sidx[0] else (16, 20)  # 64 bits from version 1 on
    references = sidx[end + 4 :]
    sizes = [int.from_bytes(references[at : at + 4]) & 0x7FFFFFFF for at in range(0, len(references), 12)]
    return int.from_bytes(sidx[start:end]) + sum(sizes) if len(sizes) > 1 else 0
