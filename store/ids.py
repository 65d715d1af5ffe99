"""Texts that may identify a video: any file name gives one."""

import hashlib
import unicodedata

_HIDDEN = {"Cc", "Cs", "Zl", "Zp"}
_LONGEST = 16_384
"""A path of Linux, at most 4,096 bytes, stays below it when each of them is escaped."""
_KEPT = 1000


def storable_id(text: str) -> str:
    """The text as one visible line that every encoding of Unicode takes; itself where it is that already.

    Control characters, line breaks and bytes of file names that are no UTF-8 become `%XX` for each byte, as
    in a URL (`urllib.parse.unquote(…, errors="surrogateescape")` gives the name back), and so do spaces where
    there is nothing else. Longer texts than 16,384 characters are cut, and end in a digest of the whole. The
    result is never changed again. `%` stands for itself, so that a name with a line break and one with the
    letters `%0A` in its place are taken for the same.
    """
    blank = not text.strip()
    if not text.isprintable() or blank:
        text = "".join(_escaped(c) if blank or unicodedata.category(c) in _HIDDEN else c for c in text)
    if len(text) > _LONGEST:
        text = f"{text[:_KEPT]}…{hashlib.sha256(text.encode()).hexdigest()}"
    return text


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        data = character.encode("utf-8", "surrogateescape")
    else:
        data = character.encode("utf-8", "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in data)
