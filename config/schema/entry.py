"""What all entries of pipelines.toml have in common."""

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """A frozen table of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
