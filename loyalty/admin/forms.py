"""What several forms of the admin share: reasons, local times, and who may publish."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextareaWidget


def reason_field(**kwargs: Any) -> forms.CharField:
    """Ask for the reason of a publication, which the history keeps."""
    return forms.CharField(
        label="Why",
        max_length=500,
        help_text="Kept in the history, for those who ask in a year.",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        **kwargs,
    )


def may_publish(request: HttpRequest) -> bool:
    """Tell whether somebody may make a draft live."""
    return request.user.has_perm("loyalty.publish_program")


def local_time(text: str, zone: str) -> datetime:
    """Read a date and time as the browser sends it, by a program's clock.

    Of a time that the clock shows twice, the first is meant.

    Raises:
        ValueError: With a sentence, where it is none, or one that the clock leaves out.
    """
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("Say on which day and at which time.") from None
    at = written.replace(tzinfo=ZoneInfo(zone))
    back = at.astimezone(UTC).astimezone(ZoneInfo(zone))
    if back.replace(tzinfo=None) != at.replace(tzinfo=None):
        raise ValueError(f"There is no such time that day: clocks go forward to {back:%H:%M}.")
    return at


def in_words(at: datetime, zone: str) -> str:
    """Write a time by a program's clock."""
    return f"{at.astimezone(ZoneInfo(zone)):%A %-d %B %Y, %H:%M} ({zone})"
