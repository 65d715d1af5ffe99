"""What can be wrong with predictions and their comparison."""

from config.errors import Problem


class EvaluationError(Problem):
    """Base of all errors of the evaluation."""


class PredictionFileError(EvaluationError):
    """A file of predictions that is absent, or whose columns or values cannot be read as scores."""


class NothingToCompare(EvaluationError):
    """No prediction belongs to any of the labels."""


class QuestionFileError(EvaluationError):
    """A file of questions that is absent, or has none that can be read."""


class QuestionError(EvaluationError):
    """A record that cannot be asked."""


class StretchError(EvaluationError):
    """A stretch of time that a video does not have, or of which nothing is known."""


class JudgeError(EvaluationError):
    """A judge that cannot be reached, or does not answer as it was asked to."""


class UnknownVideo(EvaluationError):
    """A question about a video by a number that none has."""


class FolderNotShared(EvaluationError):
    """A machine of a cluster does not see the folder that the command was started in."""


class TimeError(EvaluationError):
    """An option that should be a time, and is none."""


class NotHere(EvaluationError):
    """A video that is no file of this machine, where one is needed."""
