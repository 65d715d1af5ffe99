"""What can be wrong with the processes and machines that extract, rather than with a video."""

from config.errors import Problem


class RunnersLost(Problem):
    """No process is left that could extract: each died again and again."""


class RayMissing(Problem):
    """Ray is asked for, but not installed."""


class NoRayNodes(Problem):
    """The Ray cluster has, or gets, no room for a single runner."""


class StoreNotShared(Problem):
    """A node of the cluster does not see the folder of the feature store."""
