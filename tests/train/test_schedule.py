import pytest
import torch
from transformers import get_scheduler

from config.schema.training import Schedule
from train.loop.schedule import rate_schedule


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
@pytest.mark.parametrize(("warmup", "steps"), [(0, 7), (1, 1), (3, 20), (5, 5)])
def test_rates_are_those_of_transformers(kind: Schedule, warmup: int, steps: int) -> None:
    found = []
    for schedule in (rate_schedule, get_scheduler):
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
        own = schedule(kind, optimizer, warmup, steps)
        rates = []
        for _ in range(steps + 2):
            rates.append(own.get_last_lr()[0])
            optimizer.step()
            own.step()
        found.append(rates)
    assert found[0] == found[1]
