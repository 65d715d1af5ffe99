"""Where in its video a chunk stands, told by what is added to its features."""

import torch
from torch import nn


class Positions(nn.Module):
    """Numbers of a video's chunks [K] → what is added to their features [K, features]: a learned table.

    A video with more chunks than the table has rows is spread over all of it, and between rows is
    interpolated: every video is told its order by rows of one kind, where a formula beyond the table would
    be unlike what was learned. The table begins as the sinusoids of Vaswani et al. (arXiv 1706.03762), a
    tenth as large, so that rows that no video of the training reached tell the order, too.
    """

    def __init__(self, rows: int, features: int) -> None:
        super().__init__()
        rates = 10_000.0 ** -(torch.arange(0, features, 2) / features)
        angles = torch.arange(rows)[:, None] * rates  # [rows, ⌈features / 2⌉]
        table = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :features]
        self.table = nn.Parameter(0.1 * table)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        last, most = len(self.table) - 1, int(numbers.max())
        if most <= last:
            return self.table[numbers]
        places = numbers * (last / most)
        below = places.long().clamp(max=last - 1)
        share = (places - below)[:, None]
        return torch.lerp(self.table[below], self.table[below + 1], share.to(self.table.dtype))
