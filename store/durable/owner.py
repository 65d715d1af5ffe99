"""Who is writing a temporary file: recorded in its name, so that a later run can tell litter from work."""

import hashlib
import os
import socket
import uuid
from pathlib import Path

_MARK = ".tmp-"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_own: tuple[int, str] = (0, "")


def temporary_name(name: str, unique: str | None = None) -> str:
    """A name, beside `name`, that says which process writes it: NAME.tmp-HOST-PID-START-UNIQUE."""
    pid = os.getpid()
    return f"{name}{_MARK}{_host()}-{pid}-{_status(pid)[0]}-{unique or uuid.uuid4().hex}"


def is_temporary(name: str) -> bool:
    """Whether a file or folder name was made by `temporary_name`."""
    return _MARK in name


def unique_of(name: str) -> str:
    """The last part of a temporary name."""
    return name.rpartition("-")[2]


def owner_alive(name: str) -> bool | None:
    """Whether the process that made this temporary name still runs; None where this host cannot know."""
    try:
        host, pid, start, _ = name.rpartition(_MARK)[2].split("-")
        number, ticks = int(pid), int(start)
    except ValueError:
        return None
    if host != _host():
        return None
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    # A process number is used again; the time at which its process started is not. A zombie has ended.
    started, ended = _status(number)
    return started == ticks and not ended


def own_unique() -> str:
    """32 hexadecimal digits that no other process has."""
    global _own
    if _own[0] != os.getpid():
        _own = os.getpid(), uuid.uuid4().hex
    return _own[1]


def _host() -> str:
    """Eight digits for this machine since it started, and its space of process numbers.

    Host names alone do not tell machines apart, and containers of one machine have process numbers of their
    own.
    """
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    return hashlib.sha256(f"{socket.gethostname()}\n{_boot()}\n{space}".encode()).hexdigest()[:8]


def _boot() -> str:
    """Linux's random number of this start of the machine; elsewhere the hardware address."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"{uuid.getnode():x}"


def _status(pid: int) -> tuple[int, bool]:
    """When a process started, in clock ticks since boot, and whether it has ended and waits to be reaped.

    Fields 22 and 3 of Linux's /proc/PID/stat; 0 and False elsewhere.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0, False
    return int(fields[19]), fields[0] in (b"Z", b"X")
