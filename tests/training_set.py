"""A small stored feature set whose opinion scores follow from its features, and settings to train on it."""

import atexit
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_language import WIDTH, quality_tasks, task_texts

from config.load import load_settings
from config.schema import RunSettings
from demo.decoder_tokenizer import build_tokenizer
from store.features import FeatureStore
from store.labels.files import Label
from train.data.samples import Split
from train.job import TrainedRun, train_run
from train.saving.checkpoint import checkpoints, read_progress

ROOT = Path(__file__).parents[1]


def make_features(folder: Path, videos: int = 40) -> tuple[FeatureStore, Split]:
    """Features of random videos with 1–4 chunks; the MOS (1–5) is a linear function of their means.

    They are written once in a process; each folder gets a copy.
    """
    made, split = _features(videos)
    target = folder / "features"
    if not any(target.glob("demo/nss@*/parts-*/part-*")):
        shutil.copytree(made, target, dirs_exist_ok=True)
    return FeatureStore(target), {name: list(part) for name, part in split.items()}


def _kept() -> Path:
    """A folder for as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix="training-set-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _tokenizer() -> Path:
    folder = _kept()
    build_tokenizer(task_texts(quality_tasks())).save_pretrained(folder)
    return folder


@cache
def _features(videos: int) -> tuple[Path, Split]:
    folder = _kept()
    store = FeatureStore(folder)
    random = np.random.default_rng(0)
    labels = []
    with store.feature_set("demo", "nss", {"made": "for tests"}).writer() as writer:
        for i in range(videos):
            spatial = random.standard_normal((random.integers(1, 5), 1, 6)).astype(np.float32)
            spatial += random.standard_normal(6).astype(np.float32)
            temporal = random.standard_normal((len(spatial), 1, 3)).astype(np.float32)
            writer.add(f"v{i}", {"spatial": spatial, "temporal": temporal})
            labels.append(Label(f"v{i}", float(np.clip(50 + 20 * spatial.mean(axis=0)[0, 0], 0, 100))))
    return folder, {"train": labels[: videos // 2], "val": labels[videos // 2 : -8], "test": labels[-8:]}


def second_dataset(folder: Path, videos: int = 30, made: str = "for tests") -> Split:
    """Features and labels of KoNViD-1k's scale (1–5); ids may be those of the other dataset."""
    random = np.random.default_rng(1)
    labels = []
    with FeatureStore(folder / "features").feature_set("KoNViD-1k", "nss", {"made": made}).writer() as writer:
        for i in range(videos):
            spatial = random.standard_normal((2, 1, 6)).astype(np.float32)
            writer.add(f"v{i}", {"spatial": spatial, "temporal": spatial[..., :3].copy()})
            labels.append(Label(f"v{i}", float(np.clip(3 + spatial[:, 0, 0].mean(), 1, 5))))
    return {"train": labels[:15], "val": labels[15:23], "test": labels[23:]}


def decoder_overrides(folder: Path) -> list[str]:
    """Settings that give the pipeline `tiny` a random decoder of the tests' size and a short training."""
    tokenizer = folder / "tokenizer"
    if not tokenizer.is_dir():
        shutil.copytree(_tokenizer(), tokenizer)
    architecture = (
        f'{{ model_type = "llama", vocab_size = 512, hidden_size = {WIDTH}, intermediate_size = 64,'
        " num_hidden_layers = 1, num_attention_heads = 2, num_key_value_heads = 2, initializer_range = 0.2 }"
    )
    return [
        "pipelines.tiny.decoder.weights=random:0",
        f"pipelines.tiny.decoder.tokenizer={tokenizer}",
        f"pipelines.tiny.decoder.architecture={architecture}",
        "pipelines.tiny.training.epochs=3",
        "pipelines.tiny.training.batch_size=8",
        "pipelines.tiny.training.learning_rate=3e-3",
        "pipelines.tiny.training.targets.sigma=0.0",
        "pipelines.tiny.training.select=best",
        "pipelines.tiny.training.average_last_epochs=0",
        *(f"pipelines.tiny.branches.{name}.projector.hidden=[256, 256]" for name in ("spatial", "temporal")),
    ]


def saving(every: int) -> str:
    """A checkpoint after each so many steps, not after each epoch alone."""
    return f"pipelines.tiny.training.save_every_steps={every}"


def run_settings(folder: Path, *overrides: str) -> RunSettings:
    """The pipeline `tiny` on the features of `make_features`."""
    dropped = tuple(f"{each.removesuffix('=false')}." for each in overrides if each.endswith("=false"))
    usual = [each for each in decoder_overrides(folder) if not each.startswith(dropped)]
    settings = load_settings(ROOT / "pipelines.toml", [*usual, *overrides])
    return settings.run(settings.pipelines["tiny"], settings.datasets["demo"])


def train(folder: Path, run: str, *overrides: str, videos: int = 40) -> TrainedRun:
    """Train the pipeline `tiny` on the features of `make_features`, in `folder/run`."""
    store, split = make_features(folder, videos)
    return train_run(run_settings(folder, *overrides), store, {"demo": split}, folder / run, quiet=True)


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The tensors of a run's last checkpoint: projectors and, where there is one, adapter."""
    files = sorted(checkpoints(run / "checkpoints")[-1].glob("*.safetensors"))
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def progress_of(run: Path) -> list[dict[str, Any]]:
    """What each validation found, in the order of the steps."""
    found: list[dict[str, Any]] = read_progress(checkpoints(run / "checkpoints")[-1]).history
    return found


def logged(run: Path, figure: str) -> dict[int, float]:
    """Step → the figure, as TensorBoard shows it: the later of two."""
    events = EventAccumulator(str(run / "tensorboard" / "tiny"), purge_orphaned_data=False)
    events.Reload()
    return {event.step: event.value for event in events.Scalars(figure)}


if __name__ == "__main__":
    train(Path(sys.argv[1]), sys.argv[2], *sys.argv[3:])


def die_after_saving(step: int) -> None:
    """Let this process end, as a kill would end it, once the checkpoint of that step is saved."""
    import train.loop.trainer as module

    save = module.save_checkpoint

    def saved_and_gone(folder: Path, model: Any, progress: Any, *rest: Any) -> Path:
        final = save(folder, model, progress, *rest)
        if progress.step == step:
            os._exit(7)
        return final

    module.save_checkpoint = saved_and_gone
