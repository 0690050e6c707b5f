"""What every block shares."""

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """A block of keys; a key that it does not know is refused, never ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)
