"""Lists that say who did something: colleagues by what they are called."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpRequest
from unfold.admin import ModelAdmin

from loyalty.http.actors import actors_named


class NamesActors(ModelAdmin):
    """A list, and a page of a row, whose columns read of `row.named` who did something.

    Attributes:
        actor_fields: The fields that say who.
    """

    actor_fields: Sequence[str] = ()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Name the actors of the page at once."""
        page = super().get_changelist_instance(request)
        page.result_list = list(page.result_list)
        self._name(page.result_list)
        return page

    def get_object(self, *args: Any, **kwargs: Any) -> Any:
        """Name the actors of the row."""
        row = super().get_object(*args, **kwargs)
        if row is not None:
            self._name([row])
        return row

    def _name(self, rows: Iterable[Any]) -> None:
        named = actors_named(getattr(row, field) for row in rows for field in self.actor_fields)
        for row in rows:
            row.named = named
