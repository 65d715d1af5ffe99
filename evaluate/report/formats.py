"""How tables can be written."""

from typing import Literal

Format = Literal["plain", "markdown", "csv", "latex"]
