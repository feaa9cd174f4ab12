"""Base of the application's arguments: frozen, and an unknown name is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)
