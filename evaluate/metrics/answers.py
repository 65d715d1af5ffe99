"""The answers to a run's tasks beside the true ones that the labels have."""

from collections.abc import Mapping, Sequence

from config.schema import MOS, DatasetSettings, NumberForm, TaskSettings, TextForm, WordsForm
from evaluate.metrics.scores import LevelAccuracy, Metrics, level_accuracy, score_metrics
from store.labels.errors import LabelValueError
from store.labels.files import Label
from train.answers.forms import Value
from train.answers.levels import Levels
from train.data.samples import Truth
from train.errors import TaskLabelError
from train.inference.predict import Prediction
from train.pretrained import TrainedModel


def given(mos: Sequence[float], scores: Sequence[float | None]) -> tuple[list[float], list[float]]:
    """Opinion scores and scores of the videos that have one."""
    pairs = [(m, score) for m, score in zip(mos, scores, strict=True) if score is not None]
    return [m for m, _ in pairs], [score for _, score in pairs]


def level_figures(
    true: Sequence[str | None], found: Sequence[str | None], levels: Levels | None
) -> LevelAccuracy:
    """Accuracy of the levels found; of no video where there are no levels."""
    if levels is None:
        return LevelAccuracy(0, None, {}, {})
    return level_accuracy([level for level in true if level], found, levels.words)


def further_tasks(
    trained: TrainedModel, dataset: DatasetSettings, labels: Sequence[Label]
) -> tuple[list[dict[str, Value]], dict[str, TaskSettings], list[str]]:
    """Of each video the true answers, the tasks that ask for columns which some video has, and remarks.

    A task is left out, with a remark, where the dataset's column of that name means something else.
    """
    truth: list[dict[str, Value]] = [{} for _ in labels]
    further, remarks = dict[str, TaskSettings](), list[str]()
    for name, task in trained.settings.tasks.items():
        if task.label == MOS:
            continue
        try:
            found = [Truth(dataset, {name: task}, {}).of(label) for label in labels]
        except (TaskLabelError, LabelValueError) as error:
            remarks.append(f"the task {name} is not compared: {error}")
            continue
        if any(found):
            further[name] = task
            truth = [known | more for known, more in zip(truth, found, strict=True)]
    return truth, further, remarks


def task_figures(
    name: str, task: TaskSettings, truth: Sequence[Mapping[str, Value]], predictions: Sequence[Prediction]
) -> Metrics | LevelAccuracy:
    """Agreement of numbers, in units of the task's answers, or accuracy of words and texts."""
    pairs = [
        (answers[name], prediction.answers[name])
        for answers, prediction in zip(truth, predictions, strict=True)
        if name in answers
    ]
    true, found = [value for value, _ in pairs], [answer for _, answer in pairs]
    if isinstance(task.form, NumberForm):
        numbers = [None if answer.value is None else float(answer.value) for answer in found]
        return score_metrics(*given([float(value) for value in true], numbers))
    words = [*task.form.words] if isinstance(task.form, WordsForm) else sorted({*map(str, true)})
    said = [answer.text if isinstance(task.form, TextForm) else answer.value for answer in found]
    return level_accuracy([*map(str, true)], [str(word) if word in words else None for word in said], words)
