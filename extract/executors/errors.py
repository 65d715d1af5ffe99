"""What can be wrong with the processes and machines that extract, rather than with a video."""

from config.errors import Problem


class WorkersLost(Problem):
    """No process is left that could extract: each died again and again."""


class RayMissing(Problem):
    """Ray is asked for, but not installed."""


class NoPlace(Problem):
    """No machine has, or gets, room for a single process."""


class StoreNotShared(Problem):
    """A machine does not see the folder of the feature store."""
