"""The head of a program, and its stores."""

from typing import Self

from pydantic import model_validator

from loyalty.programs.shapes.entry import Entry
from loyalty.programs.values import Code, Currency, ProgramCode, Text, TimeZone


class ProgramHead(Entry):
    """What a program is called, and where it lives."""

    program: ProgramCode
    name: Text
    timezone: TimeZone
    currency: Currency


class StoreEntry(Entry):
    """A place where members buy."""

    code: Code
    name: Text | None = None

    @model_validator(mode="after")
    def _name_from_code(self) -> Self:
        self.name = self.name or self.code
        return self
