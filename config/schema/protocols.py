"""`[protocols.NAME]`: repeated training and testing."""

from typing import Any, Literal

from pydantic import Field, model_validator

from config.schema.entry import Entry


class ProtocolSettings(Entry):
    """Repeated training and testing of pipelines, all of them on the same videos."""

    name: str
    pipelines: tuple[str, ...] = Field(min_length=1)
    """One that `continues` another is fine-tuned from that one's run."""
    datasets: tuple[str, ...] = Field(min_length=1)
    """Of several, each is split on its own. The training parts are trained on together, and the test parts
    are tested one by one and together. `dataset = "NAME"` is the same as one."""
    also: tuple[str, ...] = ()
    """Datasets that every trial trains on as a whole, and none tests."""
    tests: tuple[str, ...] = ()
    """Further datasets, each of which every trial tests as a whole, on its own scale: out of distribution."""
    kind: Literal["in-sample", "random-splits", "k-fold", "published-folds", "cross-dataset", "matrix"]
    """`in-sample`: the datasets' own training and test sets. `published-folds`: the dataset's own `folds`,
    whose number they say. `cross-dataset`: each dataset in turn is tested as a whole, by what was trained on
    all the others. `matrix`: each in turn is trained on alone; its own test set and all others are tested."""
    repeats: int = Field(5, ge=1)
    """Number of random splits, or of seeded folds; cross-dataset: of trainings with other seeds."""
    seeds: int = Field(1, ge=1)
    """Trainings of each trial, on the same videos with other seeds."""
    test_share: float = Field(0.2, gt=0, lt=1)
    validation_share: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**63)
    baseline: Literal["none", "svr"] = "none"
    """`svr`: an RBF support vector regressor on the video means, grid-searched, on the same videos."""

    @model_validator(mode="before")
    @classmethod
    def _one_dataset_is_a_list_of_one(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "dataset" not in given:
            return given
        if "datasets" in given:
            raise ValueError("expected one of dataset and datasets")
        return {
            **{key: value for key, value in given.items() if key != "dataset"},
            "datasets": (given["dataset"],),
        }

    @model_validator(mode="after")
    def _datasets_suit_the_kind(self) -> "ProtocolSettings":
        if len(set(self.trained)) < len(self.trained):
            raise ValueError(f"datasets and also name one twice: {', '.join(self.trained)}")
        if len(set(self.involved)) < len(self.involved):
            raise ValueError(
                f"tests names one that is trained on, or one twice: {', '.join(self.tests)}; expected others"
                f" than {', '.join(self.trained)}"
            )
        if self.kind in ("cross-dataset", "matrix") and len(self.datasets) < 2:
            raise ValueError(f"kind = {self.kind!r}: expected two or more datasets")
        return self

    @property
    def trained(self) -> tuple[str, ...]:
        """All datasets that some trial trains on."""
        return self.datasets + self.also

    @property
    def involved(self) -> tuple[str, ...]:
        """All datasets that some trial trains on or tests."""
        return self.trained + self.tests

    @property
    def pools(self) -> bool:
        """Whether figures of all of a trial's test videos together mean something: they are on one scale."""
        return self.kind not in ("in-sample", "matrix") and not self.tests
