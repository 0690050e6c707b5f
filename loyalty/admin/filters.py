"""Filters of the history pages; their choices are known, so no table is read for them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter, RangeDateFilter
from unfold.utils import parse_date_str

from loyalty.admin import words
from loyalty.events.catalogue import CATALOGUE
from loyalty.http.fields import EARLIEST, LATEST
from loyalty.programs.models import Program


class ProgramFilter(DropdownFilter):
    """By program; these tables keep its id only."""

    title = "program"
    parameter_name = "program"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        """Offer all programs."""
        return [(str(pk), name) for pk, name in Program.objects.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep the chosen one's."""
        value = self.value()
        return queryset.filter(program_id=value) if value and value.isdecimal() else queryset


class DaysFilter(RangeDateFilter):
    """From a day to a day, both of them whole, in UTC as the lists show times."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep what happened on these days."""
        first = day_said(self.used_parameters.get(f"{self.field_path}_from"))
        last = day_said(self.used_parameters.get(f"{self.field_path}_to"))
        if first is not None:
            queryset = queryset.filter(**{f"{self.field_path}__gte": first})
        if last is not None:
            queryset = queryset.filter(**{f"{self.field_path}__lt": last + timedelta(days=1)})
        return queryset


def day_said(text: Any) -> datetime | None:
    """Read the beginning of a day as a filter's field has it; None for none.

    Days outside of the times that the engine takes are the first or last of these: to the
    calendar's own last day nothing can be added.
    """
    day = parse_date_str(text) if isinstance(text, str) else None
    if day is None:
        return None
    return min(max(datetime(day.year, day.month, day.day, tzinfo=UTC), EARLIEST), LATEST)


class KindFilter(DropdownFilter):
    """By what a ledger transaction did."""

    title = "what"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        """Offer all kinds, in words."""
        return list(words.KINDS.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep the chosen one."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


class EventTypeFilter(DropdownFilter):
    """By type of event."""

    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        """Offer the types that the engine writes."""
        return [(name, name) for name in CATALOGUE]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep the chosen one."""
        return queryset.filter(type=self.value()) if self.value() else queryset
