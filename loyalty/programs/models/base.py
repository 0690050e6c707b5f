"""What every row of a draft shares: it is one part of a program's document."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models

from loyalty.programs import entries

if TYPE_CHECKING:
    from loyalty.programs.models.program import Program


def codes(help_text: str) -> Any:
    """Make a column of codes; empty means all."""
    return ArrayField(
        models.CharField(max_length=100), default=list, blank=True, help_text=help_text
    )


class PartOfProgram(models.Model):
    """A row that is one part of a program's document."""

    part: ClassVar[entries.Part]

    class Meta:
        abstract = True

    def entry(self) -> dict[str, Any]:
        """Write the row as the program file has it."""
        return self.part.write(self)

    def clean(self) -> None:
        """Check the row as its part of a file would be, before anybody publishes it."""
        program = self._program()
        if program is None:
            return
        columns = {field.name for field in self._meta.fields}
        found: dict[str, list[str]] = {}
        for column, messages in self.part.problems(self, program.context()).items():
            key = column if column in columns else NON_FIELD_ERRORS
            found.setdefault(key, []).extend(messages)
        if found:
            raise ValidationError(found)

    def _program(self) -> "Program | None":
        """None while a form has not said yet to which program the row belongs."""
        return getattr(self, "program", None)
