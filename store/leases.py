"""Leases on pieces of work: of all processes on all machines, one has each, until it lets go or dies.

    NAME.lease-0        who took the lease first: a name of store.durable.owner
    NAME.lease-1        who took it over, when that one had died; and so on: the highest number has it
    worker.tmp-…        a count that its owner, named so, raises every few seconds

A lease is only ever created, never rewritten, so that of several processes that find an owner dead, one gets
the next number. A process that was held up for so long that others took it for dead may go on with a piece
that another has, too: what is done under a lease must bear being done twice.
"""

import threading
import time
from dataclasses import dataclass

from store.durable.owner import owner_alive, temporary_name
from store.errors import StoreError, WriteFailed
from store.files import Files

EXPIRY_SECONDS = 120.0
"""An owner on another machine is dead when its count has not changed for so long. NFS may show an old one for
a minute."""

_BEATS_PER_EXPIRY = 8
_LOOKS_PER_EXPIRY = 240
_OWNER = "worker"


@dataclass(frozen=True)
class Lease:
    """A lease that this process has. `takeovers`: how many had it before, and died."""

    name: str
    takeovers: int


class Leases:
    """The leases of one process, among those of others in the same folder, which is made. Used by one thread.

    Raises what Files raise.
    """

    def __init__(self, files: Files, expiry_seconds: float = EXPIRY_SECONDS) -> None:
        self._files = files
        self._expiry_seconds = expiry_seconds
        self._owner = temporary_name(_OWNER)
        self._seen: dict[str, tuple[bytes | None, float]] = {}
        self._closed = threading.Event()
        self._enter()
        self._heart = threading.Thread(target=self._beat, name="lease-heartbeat", daemon=True)
        self._heart.start()

    def take(self, name: str) -> Lease | None:
        """The lease of that name, unless a living process has it (this one included)."""
        takeovers = 0
        while not self._files.create(_file(name, takeovers), self._owner.encode()):
            content = self._files.read(_file(name, takeovers))
            if content is None or not self._dead(_file(name, takeovers), content.decode()):
                return None
            takeovers += 1
        return Lease(name, takeovers)

    def release(self, lease: Lease) -> None:
        """Let go: the next that takes it does so as if nobody had had it."""
        self._files.remove(*(_file(lease.name, number) for number in range(lease.takeovers + 1)))

    def abandon(self, lease: Lease) -> None:
        """Let go, but let `takeovers` stay what it is."""
        self._files.remove(_file(lease.name, lease.takeovers))

    def others_alive(self) -> bool:
        """Whether a living process has a lease; of another machine's, this waits for a sign of life."""
        held = [self._files.read(name) for name in self._files.names() if ".lease-" in name]
        owners = {content.decode() for content in held if content} - {self._owner}
        first = {owner: self._files.read(owner) for owner in owners}
        while first:
            for owner, beat in list(first.items()):
                now = self._files.read(owner)
                if now is None or self._dead(owner, owner):
                    del first[owner]
                elif owner_alive(owner) or now != beat:
                    return True
            time.sleep(self._expiry_seconds / _LOOKS_PER_EXPIRY if first else 0)
        return False

    def close(self) -> None:
        """End the heartbeat, and what is left of those of dead processes.

        All leases must have been let go: this process does not count as dead.
        """
        self._closed.set()
        self._heart.join()
        others = [name for name in self._files.names() if name.startswith(_OWNER) and name != self._owner]
        self._files.remove(self._owner, *(name for name in others if self._dead(name, name)))

    def _enter(self) -> None:
        while True:
            try:
                self._files.make()
                return self._files.write(self._owner, b"0")
            except WriteFailed as error:
                # The last process of an earlier job may have just removed the folder.
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise

    def _dead(self, file: str, owner: str) -> bool:
        """Never by comparing clocks: by what this process has seen for how long by its own."""
        alive = owner_alive(owner) if owner else None
        if alive is not None:
            return not alive
        beat = self._files.read(owner) if owner else b""
        now = time.monotonic()
        known = self._seen.get(owner or file)
        if known is None or known[0] != beat:
            self._seen[owner or file] = (beat, now)
            return False
        return now - known[1] > self._expiry_seconds

    def _beat(self) -> None:
        count = 0
        while not self._closed.wait(self._expiry_seconds / _BEATS_PER_EXPIRY):
            count += 1
            try:
                self._files.write(self._owner, str(count).encode())
            except StoreError:
                # The storage may answer again; if not, the work itself will meet the error.
                continue


def leased(names: list[str]) -> set[str]:
    """Of a folder's file names, the names that somebody has, or had and died."""
    return {name.rpartition(".lease-")[0] for name in names if ".lease-" in name}


def _file(name: str, number: int) -> str:
    return f"{name}.lease-{number}"
