"""A vendor's segments that fill ours, on the page of the connection."""

from typing import Any

from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.decorators import display

from crm_sync.forms import SegmentFormSet
from crm_sync.models import PolledSegment
from crm_sync.services.connections import adapters


class SegmentInline(TabularInline):
    """The vendor's segment, ours, and what came of it."""

    model = PolledSegment
    formset = SegmentFormSet
    fields = ("vendor_segment", "segment", "lately")
    readonly_fields = ("lately",)
    verbose_name = "segment"
    verbose_name_plural = "Segments that are filled from there"
    extra = 0
    tab = False

    def get_formset(self, request: HttpRequest, obj: Any = None, **more: Any) -> Any:
        """Say how this vendor's segments are named."""
        formset = super().get_formset(request, obj, **more)
        adapter: Any = adapters().get(obj.adapter) if obj is not None else None
        if adapter is not None and "vendor_segment" in formset.form.base_fields:
            hint = f"{adapter.segment_hint[0].upper()}{adapter.segment_hint[1:]}."
            formset.form.base_fields["vendor_segment"].help_text = hint
        return formset

    @display(description="Read")
    def lately(self, polled: PolledSegment) -> str:
        """Say when it was read, whom it had, and why it was read in vain."""
        if polled.read_at is None:
            told = "Not yet." if polled.pk else "–"
        else:
            strangers = f", {polled.strangers:,} who are no members" if polled.strangers else ""
            told = f"{polled.read_at:%Y-%m-%d %H:%M} UTC: {polled.members:,} members{strangers}."
        return f"{told} {polled.last_error}".strip()
