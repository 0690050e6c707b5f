"""How a person sets up a connection: an address and event types instead of JSON."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from crm_sync.adapters.contract import ConfigRefused
from crm_sync.models import EVENT_TYPE, Connection
from crm_sync.services.connections import check_config

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Connection]
else:
    ModelForm = forms.ModelForm

# Which of the form's fields are an adapter's configuration.
CONFIG_FIELDS = {"webhook": ("url",), "console": ("path",)}
ADAPTERS = [
    ("webhook", "Webhook: signed JSON to an address of yours"),
    ("console", "Console: lines in the worker's log, to look at"),
]


class ConnectionForm(ModelForm):
    """A connection's settings; program and kind are chosen once."""

    adapter = forms.ChoiceField(label="Kind", choices=ADAPTERS, widget=UnfoldAdminSelectWidget())
    url = forms.CharField(
        label="Address",
        required=False,
        max_length=2000,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Of a webhook: https://… on the public internet.",
    )
    path = forms.CharField(
        label="File",
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Of a console: also append to this file, such as events.jsonl. May be empty.",
    )
    event_types = SimpleArrayField(
        forms.CharField(max_length=40, validators=[EVENT_TYPE]),
        label="Only these events",
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="By commas, such as points.earned, tier.*  Empty: all events.",
    )
    from_beginning = forms.BooleanField(
        label="Begin with all events that are kept",
        required=False,
        widget=UnfoldBooleanSwitchWidget(),
        help_text="Otherwise it begins with what happens from now on.",
    )

    class Meta:
        model = Connection
        fields = ("program", "name", "adapter", "event_types")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            for name in ("program", "adapter"):
                self.fields[name].disabled = True
            del self.fields["from_beginning"]
            for name in CONFIG_FIELDS.get(self.instance.adapter, ()):
                self.fields[name].initial = self.instance.config.get(name, "")

    def clean(self) -> dict[str, Any]:
        """Let the adapter judge what belongs to it; its sentence appears at the field."""
        found: dict[str, Any] = super().clean() or {}
        adapter = found.get("adapter", "")
        names = CONFIG_FIELDS.get(adapter, ())
        config = {name: found[name].strip() for name in names if found.get(name)}
        try:
            self.instance.config = check_config(adapter=adapter, config=config)
        except ConfigRefused as error:
            self.add_error(names[0] if names else None, str(error))
        return found
