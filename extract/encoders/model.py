"""What all encoders share that run a model: the device, precision, batches of one size, the specification."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from config.schema import EncoderSettings
from extract.encoders.arrays import PRECISIONS, Normalisation, storable, uploaded
from extract.encoders.base import FRAMES, Features, StreamShape, kept_streams
from extract.encoders.weights import digest
from extract.video.decode import DECODE_VERSION
from extract.video.view import Chunk, View

_TENSOR_CORE_LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Of the weights of convolutions, by how many axes they have."""


class ModelEncoder(ABC):
    """Frames of each chunk through a frozen model.

    The model always sees `batch` chunks at once; where there are fewer, the last is repeated and what comes
    of it is dropped. So every shape is constant, and features do not depend on the chunks beside them.
    `encode` may be called from any thread, within `torch.cuda.stream`: it waits for that stream alone.
    """

    kind: ClassVar[str]
    version: ClassVar[int]
    """Raised whenever the same frames and weights give other features."""
    gpu_batch: ClassVar[int]
    gpu_layout: ClassVar[torch.memory_format]
    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]
    """What the model was trained with; the settings may say otherwise."""

    further_streams: ClassVar[tuple[str, ...]] = ()
    """Those that are kept only where the settings name them."""

    in_worker = False

    def __init__(
        self,
        settings: EncoderSettings,
        device: str,
        model: nn.Module,
        view: View,
        shapes: Mapping[str, Sequence[int]],
    ) -> None:
        """`model`: on the CPU, in float32, with its weights; only the layers that are run.

        `shapes`: of an item of each stream that there is. Raises EncoderError if a setting asks for another.
        """
        self.settings = settings
        self.view = view
        self.streams: Mapping[str, StreamShape] = kept_streams(settings, shapes, self.further_streams)
        self.device = torch.device(device)
        on_gpu = self.device.type == "cuda"
        if on_gpu:
            # Tensor cores round float32 to 10 bits by default in convolutions, which the key would hide.
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        self.batch = settings.batch or (self.gpu_batch if on_gpu else 1)
        self._layout = self.gpu_layout if on_gpu else torch.contiguous_format
        self._digest = digest(model)
        dtype = PRECISIONS[settings.precision]
        self._mean, self._std = settings.mean or self.mean, settings.std or self.std
        self._normalised = Normalisation(self._mean, self._std, self.device, dtype)
        model = model.eval().requires_grad_(False)
        model = (self.fast_on_gpu(model) if on_gpu else model).to(self.device, dtype)
        if on_gpu:
            for parameter in model.parameters():
                layout = _TENSOR_CORE_LAYOUTS.get(parameter.dim(), torch.contiguous_format)
                parameter.data = parameter.data.contiguous(memory_format=layout)
        self.model = model
        self._features = torch.compile(self._run, dynamic=False) if settings.compile else self._run

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """What makes the model besides its weights; JSON values only."""

    def fast_on_gpu(self, model: nn.Module) -> nn.Module:
        """The float32 model, on the CPU, in the form that a GPU computes fastest; equal but for rounding."""
        return model

    @abstractmethod
    def forward(self, pixels: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Normalised frames [N, count, 3, H, W] to the streams, [N, items, *stream shape]."""

    def specification(self) -> dict[str, Any]:
        """See Encoder."""
        request = self.view.requests[FRAMES]
        return {
            "kind": self.kind,
            "version": self.version,
            "decode": DECODE_VERSION,
            "architecture": self.architecture(),
            "weights": self._digest,
            "chunk_seconds": str(self.view.chunk_seconds),
            "tail": self.view.tail,
            "frames": {"count": request.count, "rule": request.rule},
            "size": list(request.size) if request.size else None,
            "resize": request.resize,
            "interpolation": request.interpolation,
            "mean": list(self._mean),
            "std": list(self._std),
            "streams": {name: list(stream.shape) for name, stream in self.streams.items()},
            "precision": self.settings.precision,
            "dtype": self.settings.dtype,
        }

    @torch.inference_mode()
    def encode(self, chunks: Sequence[Chunk]) -> list[Features]:
        """See Encoder. Raises Overflow if the stored dtype cannot hold a feature."""
        alike: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for position, chunk in enumerate(chunks):
            alike[chunk.frames[FRAMES].shape].append(position)
        found: dict[int, Features] = {}
        for positions in (
            same[start : start + self.batch]
            for same in alike.values()
            for start in range(0, len(same), self.batch)
        ):
            filled = positions + positions[-1:] * (self.batch - len(positions))
            pictures = uploaded([chunks[position].frames[FRAMES] for position in filled], self.device)
            outputs = self._features(pictures)
            arrays = {
                name: storable(outputs[name][: len(positions)], stream.dtype, self.settings.name)
                for name, stream in self.streams.items()
            }
            for row, position in enumerate(positions):
                before, after = chunks[position].before, chunks[position].after
                found[position] = {
                    name: array[row, before : array.shape[1] - after] for name, array in arrays.items()
                }
        return [found[position] for position in range(len(chunks))]

    def laid_out(self, pixels: torch.Tensor) -> torch.Tensor:
        """In the order in memory in which the device's convolutions are fastest."""
        return pixels.contiguous(memory_format=self._layout)

    def _run(self, pictures: torch.Tensor) -> Mapping[str, torch.Tensor]:
        return self.forward(self._normalised(pictures))
