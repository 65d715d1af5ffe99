"""What can be wrong with predictions and their comparison."""

from config.errors import Problem


class EvaluationError(Problem):
    """Base of all errors of the evaluation."""


class PredictionFileError(EvaluationError):
    """A file of predictions that is absent, or whose columns or values cannot be read as scores."""


class NothingToCompare(EvaluationError):
    """No prediction belongs to any of the labels."""
