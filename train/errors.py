"""Faults of training and loading that a person can put right."""

from config.errors import Problem


class TrainError(Problem):
    """Base of the training package's errors."""


class DecoderMissingError(TrainError):
    """The language model's weights or tokenizer are not where the settings say."""


class TaskLabelError(TrainError):
    """A label cannot be the answer of a task, or a dataset has none."""


class FeaturesMissingError(TrainError):
    """A branch's features are not in the store, or none belong to a labelled video."""


class FeatureValueError(TrainError):
    """Features that are no numbers, or too large to compute with."""


class RunError(TrainError):
    """A run folder that is incomplete, or does not fit what is asked of it."""


class DivergedError(TrainError):
    """The loss or its gradient is no longer a number."""


class MemoryExhaustedError(TrainError):
    """A forward or backward pass did not fit the device's memory."""


class TrackerError(TrainError):
    """A tracker that accelerate does not know, or whose library is not installed."""


class ContextExceeded(TrainError):
    """A video's tokens, with its questions, are more than the decoder can read."""


class ConversationError(TrainError):
    """Messages and media that do not go together."""
