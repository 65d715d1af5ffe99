"""Which of a model's parameters train, in the groups that training.groups names."""

from abc import abstractmethod

from torch import nn

from config.schema import PipelineSettings
from train.data.reader import Features
from train.model.members import Members, each


class GroupedModel(nn.Module):
    """A model whose parameters belong to named parts; what trains is their own `requires_grad`."""

    projectors: nn.ModuleDict
    """Branch → its projector, or those of several members."""

    def __init__(self) -> None:
        super().__init__()
        self.distances = nn.ModuleDict()
        """Branch → how far a video's features lie from the training videos'; of those that ask for it."""

    def distance(self, video: Features) -> float | None:
        """The largest of the branches' distances of a video's features; None where none is learned."""
        found = [float(each(video[branch])) for branch, each in self.distances.items() if branch in video]
        return max(found, default=None)

    @property
    def members(self) -> int:
        """How many sets of projectors there are."""
        return len(each(next(iter(self.projectors.values()))))

    @abstractmethod
    def parts(self) -> dict[str, list[nn.Parameter]]:
        """Part → its parameters; a parameter is in one part alone."""

    def freeze_the_rest(self, pipeline: PipelineSettings) -> None:
        """Let the parts train that the pipeline's settings give a rate, and no others."""
        for name, parameters in self.parts().items():
            for parameter in parameters:
                parameter.requires_grad_(pipeline.trains(name))

    def clipped_together(self) -> list[list[nn.Parameter]]:
        """The parameters that train: all, or each member's and then what members share."""
        gathered = [part for part in self.modules() if isinstance(part, Members)]
        owner = {p: n for part in gathered for n, own in enumerate(part) for p in own.parameters()}
        found: dict[int, list[nn.Parameter]] = {}
        for parameter in self.parameters():
            if parameter.requires_grad:
                found.setdefault(owner.get(parameter, self.members), []).append(parameter)
        return [found[number] for number in sorted(found)]

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Part → those of its parameters that train; parts that are frozen are left out."""
        trained = {name: [p for p in part if p.requires_grad] for name, part in self.parts().items()}
        return {name: parameters for name, parameters in trained.items() if parameters}

    def trainable_parameters(self) -> dict[str, int]:
        """Each trainable part's name → its number of parameters."""
        return {name: sum(p.numel() for p in group) for name, group in self.groups().items()}
