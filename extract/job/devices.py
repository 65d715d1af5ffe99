"""Which devices the models run on: from what a person writes to their names."""

from config.errors import Problem


class NoSuchDevice(Problem):
    """A device that this machine does not have."""


def device_names(text: str) -> list[str]:
    """`auto`, `cpu`, `cuda` (every GPU; with `auto`, if there is one) or a list such as `cuda:0,cuda:1`.

    Raises NoSuchDevice.
    """
    import torch

    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if text == "auto":
        return gpus or ["cpu"]
    if text == "cuda" and gpus:
        return gpus
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in ("cpu", *gpus):
            raise NoSuchDevice(
                f"--device {text}: there is no {name!r} here; expected auto, cuda, or some of"
                f" {', '.join(['cpu', *gpus])}"
            )
    return names
