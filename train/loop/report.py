"""What a person sees of a training: a progress bar, and figures in the trackers."""

import json
from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator
from tqdm import tqdm

from config.schema import PipelineSettings
from train.saving.folder import writing

_TRACKERS = "what the trackers log"
_SHORT = {
    "speed/videos_per_second": "videos/s",
    "speed/tokens_per_second": "tokens/s",
    "speed/mfu": "MFU",
    "memory/peak_gib": "GiB",
}


class Report:
    """The bar and the trackers of one training; only the main process shows and writes anything.

    Raises RunError where the disk refuses.
    """

    @writing(_TRACKERS)
    def __init__(
        self, accelerator: Accelerator, pipeline: PipelineSettings, step: int, steps: int, quiet: bool
    ) -> None:
        self._accelerator = accelerator
        accelerator.init_trackers(
            pipeline.name,
            flat(pipeline.model_dump(mode="json")),
            {"tensorboard": {"purge_step": step + 1}},  # what a killed run logged after its last checkpoint
        )
        self._bar = tqdm(
            total=steps,
            initial=step,
            desc="train",
            unit="step",
            disable=quiet or not accelerator.is_main_process,
        )
        self._shown: dict[str, str] = {}

    @writing(_TRACKERS)
    def step(self, step: int, figures: Mapping[str, float]) -> None:
        """Log a step's figures and move the bar."""
        self._accelerator.log(dict(figures), step)
        self._shown["loss"] = f"{figures['loss']:.3f}"
        self._shown |= {short: f"{figures[name]:.3g}" for name, short in _SHORT.items() if name in figures}
        self._bar.set_postfix(self._shown, refresh=False)
        self._bar.update()

    @writing(_TRACKERS)
    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        """Log a validation's figures."""
        self._accelerator.log({f"validation/{name}": value for name, value in figures.items()}, step)
        self._shown["SRCC"] = f"{figures['srcc']:.3f}"

    @writing(_TRACKERS)
    def close(self) -> None:
        """End the bar and the trackers."""
        self._bar.close()
        for tracker in self._accelerator.trackers:
            tracker.finish()


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Nested settings as `a.b` → value; what is no scalar as JSON."""
    values: dict[str, str | int | float | bool] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            values |= flat(value, f"{prefix}{name}.")
        else:
            values[prefix + name] = value if isinstance(value, str | int | float) else json.dumps(value)
    return values
