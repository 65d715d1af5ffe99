"""What can be wrong with stored features.

One message is the only argument, so that the errors survive the way from a worker process.
"""

import os

from config.errors import Problem


class StoreError(Problem):
    """Base of all errors of the store."""


class InvalidName(StoreError):
    """A dataset, encoder or stream name that cannot name a folder, or a video id that cannot be listed."""


class InvalidSpecification(StoreError):
    """A specification that is not plain JSON, so that it has no fingerprint."""


class InvalidFeatures(StoreError):
    """Features that are not finite, or not of the shape, dtype or streams of their feature set."""


class DuplicateVideo(StoreError):
    """The same video was given to a writer, or to an import, twice."""


class ReadFailed(StoreError):
    """The operating system refused a read: the folder is not ours, the disk fails, …"""


class WriteFailed(StoreError):
    """The operating system refused a write: the disk is full, the folder is read-only, …"""


class RemoteFailed(StoreError):
    """Object storage cannot be reached, refuses, or needs a package that is not installed."""


class StoreMissing(StoreError):
    """There is no store where one is to be written to, and making one there may be wrong."""


class FeaturesNotFound(StoreError):
    """There is no such feature set."""


class AmbiguousFeatures(StoreError):
    """Several feature sets answer the request: a key must choose."""


class VideoNotStored(StoreError):
    """The feature set has no such video."""


class UnknownStream(StoreError):
    """The feature set has no such stream, or a stream must be named."""


class InvalidRange(StoreError):
    """A request for items beyond the ends of a video."""


class DamagedFeatureSet(StoreError):
    """feature.json is absent, unreadable, or describes other features than the folder's name says."""


class DamagedMarker(StoreError):
    """A commit marker that is not as its writer left it."""


class DamagedPart(StoreError):
    """Files of a part are missing or too short."""


class NewerFormat(StoreError):
    """Written by a later version of this program."""


class UnknownBackend(StoreError):
    """No storage backend has this name."""


class OnlyInFolders(StoreError):
    """Maintenance of a feature set that is not in a folder of a file system."""


class ImportFailed(StoreError):
    """A feature file, or the list of its videos, cannot be read as what it is said to be."""


class ExportFailed(StoreError):
    """The target folder cannot take an export."""


def read_failed(what: str, error: OSError) -> ReadFailed:
    """The error to raise for what the operating system would not let be read."""
    return ReadFailed(
        f"{what} cannot be read: {error.strerror or error}. Give this user access to it, or check the disk"
    )


def write_failed(what: str, error: OSError) -> WriteFailed:
    """The error to raise for what the operating system refused."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return WriteFailed(
        f"{what}: {reason}. Committed videos are safe;"
        " the others are extracted when the command is run again."
    )
