"""Extraction by this machine: by this process on one device, by a process for each on several."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing

from extract.encoders.base import Encoder
from extract.executors.base import Executor, InvalidShare
from extract.executors.driver import Driver
from extract.executors.shared_job import SharedJob, remove_dead_jobs
from extract.executors.worker import work
from extract.run.extractor import Extractor
from extract.tasks import Outcome, Recipe, VideoTask
from store.format.fingerprint import fingerprint
from store.ids import check_folder_name
from store.leases import Leases


def local_executor(
    recipe: Recipe, devices: Sequence[str], encoders: Mapping[str, Encoder], share: str | None = None
) -> Executor:
    """On the devices of this machine. `encoders`: the recipe's, on the device if there is only one.

    `share`: see LocalExecutor. Raises InvalidShare.
    """
    if len(devices) == 1:
        return LocalExecutor(recipe, devices[0], encoders, share)
    if share:
        raise InvalidShare(
            f"--share {share}: expected one --device for each command, not {', '.join(devices)}"
        )
    from extract.executors.devices import DeviceLauncher

    return Driver(recipe, DeviceLauncher(recipe, devices))


class LocalExecutor(Executor):
    """On one device. `encoders`: those of the recipe, where they are built already.

    `share`: a name under which this process shares the job with others, on any machines, that were started by
    the same command: the outcomes are then those of its own videos, and end when the job does.
    """

    def __init__(
        self,
        recipe: Recipe,
        device: str = "cpu",
        encoders: Mapping[str, Encoder] | None = None,
        share: str | None = None,
    ) -> None:
        self._store = recipe.store
        self._extractor = Extractor(recipe, device, encoders)
        self.phases = self._extractor.phases
        self._job = SharedJob(recipe.store, self._job_name(share)) if share else None

    def run(self, tasks: Iterable[VideoTask], listed: str = "") -> Generator[Outcome]:
        """See Executor. Raises OtherJob too."""
        if self._job is None:
            return self._extractor.extract(task for task in tasks if task.encoders)
        return self._shared(self._job, tasks, listed)

    def close(self) -> None:
        self._extractor.close()

    def _shared(self, job: SharedJob, tasks: Iterable[VideoTask], listed: str) -> Generator[Outcome]:
        remove_dead_jobs(self._store)
        with closing(Leases(job.files)) as leases:
            job.publish_all(tasks, listed, leases)
            yield from work(self._extractor, job, leases)
        job.leave()

    def _job_name(self, share: str) -> str:
        """Another one for other encoders, whose lots are others. Raises InvalidName."""
        names = sorted(features.name for features in self._extractor.sets.values())
        return f"{check_folder_name(share, 'share')}-{fingerprint({'sets': names})}"
