"""How a person sets up a connection: the settings of its kind, instead of JSON."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from crm_sync.adapters.contract import ConfigRefused, PushesProfiles, ReadsBack, Setting
from crm_sync.adapters.fields import Field
from crm_sync.adapters.segments import ListsSegments
from crm_sync.inbound.segments import begin_anew, refuse_code
from crm_sync.inbound.sources import check_sources_of
from crm_sync.mapping import problem_of, problems_of
from crm_sync.models import EVENT_TYPE, Connection, PolledSegment
from crm_sync.services.connections import adapters, check_config, check_secrets
from loyalty.programs.admin.forms import without_shortcuts

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Connection]
else:
    ModelForm = forms.ModelForm

_KEPT = "It is stored and never shown. Leave it empty to keep it."


class ConnectionForm(ModelForm):
    """A connection's settings; program and kind are chosen once."""

    adapter = forms.CharField(label="Kind", widget=forms.HiddenInput())
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
        fields = (
            *("program", "name", "adapter", "event_types", "shares_email", "shares_phone"),
            *("matches_unverified", "repairs_drift", "calls_at_once"),
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.secrets: dict[str, str] = {}
        without_shortcuts(self.fields["program"])
        if self.instance._state.adding:
            return
        for name in ("program", "adapter"):
            self.fields[name].disabled = True
        self.fields.pop("from_beginning", None)
        for setting in settings_of(self.instance.adapter):
            if setting.is_secret:
                self.fields[setting.name].help_text = _KEPT
                self.fields[setting.name].required = False
            else:
                self.fields[setting.name].initial = stored(setting, self.instance.config)

    def clean(self) -> dict[str, Any]:
        """Let the adapter judge what belongs to it; its sentence appears at the field."""
        found: dict[str, Any] = super().clean() or {}
        adapter = found.get("adapter", "")
        settings = settings_of(adapter)
        if self.errors.keys() & {setting.name for setting in settings}:
            return found
        given = {s.name: found[s.name].strip() for s in settings if found.get(s.name)}
        self.secrets = {
            s.name: given.pop(s.name) for s in settings if s.is_secret and s.name in given
        }
        is_new = self.instance._state.adding
        try:
            check_secrets(adapter=adapter, given=self.secrets, is_new=is_new)
            checked = check_config(adapter=adapter, config=given)
            check_sources_of(self.instance, checked)
            self.instance.config = checked
        except ConfigRefused as error:
            shown = [setting.name for setting in settings if setting.name in self.fields]
            self.add_error(shown[0] if shown else None, str(error))
        return found


def settings_of(adapter: str) -> list[Setting]:
    """List what a person fills in for a kind of destination."""
    found = adapters().get(adapter)
    return list(found.settings) if found else []


def form_for(adapter: str) -> type[ConnectionForm]:
    """Make the form for one kind of destination."""
    fields: dict[str, Any] = {setting.name: input_of(setting) for setting in settings_of(adapter)}
    return type("ConnectionFormOfKind", (ConnectionForm,), fields)


def keeps_profiles(adapter: str) -> bool:
    """Say whether a kind of destination keeps profiles."""
    return isinstance(adapters().get(adapter), PushesProfiles)


def lists_segments(adapter: str) -> bool:
    """Say whether a kind of destination can be asked who is in its segments."""
    return isinstance(adapters().get(adapter), ListsSegments)


def shows_what_it_has(adapter: str) -> bool:
    """Say whether a kind of destination can be asked what it has."""
    return isinstance(adapters().get(adapter), ReadsBack)


def stored(setting: Setting, config: Mapping[str, Any]) -> str:
    """Give what a setting is; a choice that was never made is not the first of them."""
    return str(config.get(setting.name) or (setting.default if setting.choices else ""))


def input_of(setting: Setting) -> forms.Field:
    """Make the field of a setting: a choice where there is one, a secret that is never shown."""
    if setting.choices:
        return forms.ChoiceField(
            label=setting.label,
            required=setting.is_required,
            choices=[(choice, choice.replace("_", " ")) for choice in setting.choices],
            widget=UnfoldAdminSelectWidget(),
            help_text=setting.help,
            initial=setting.default,
        )
    widget = (
        UnfoldAdminPasswordWidget(render_value=False)
        if setting.is_secret
        else UnfoldAdminTextInputWidget()
    )
    return forms.CharField(
        label=setting.label,
        required=setting.is_required,
        max_length=4000,  # a private key of 4,096 bits has 3,300
        widget=widget,
        help_text=setting.help,
        initial=setting.default,
    )


class MappingFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """All fields of a connection together: names twice, owners, the vendor's limits."""

    def clean(self) -> None:
        """Refuse a mapping before anything is sent by it."""
        super().clean()
        adapter: object = adapters().get(self.instance.adapter)
        if any(self.errors) or not isinstance(adapter, PushesProfiles):
            return
        fields = []
        for form in self.forms:
            row = form.cleaned_data
            if not row.get("name") or row.get("DELETE"):
                continue
            field = Field(row["attribute"], row["name"], row["form"], row["owner"])
            if problem := problem_of(field, adapter.field_limits):
                form.add_error("attribute", problem)
            fields.append(field)
        if not any(self.errors) and (problems := problems_of(fields, adapter.field_limits)):
            raise forms.ValidationError(problems)


class SegmentFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    """The vendor's segments that fill ours, each of ours from one place alone."""

    def clean(self) -> None:
        """Refuse what could never be read, or would be emptied from two sides."""
        super().clean()
        adapter: object = adapters().get(self.instance.adapter)
        if any(self.errors) or not isinstance(adapter, ListsSegments):
            return
        for form in self.forms:
            row = form.cleaned_data
            if not row.get("segment") or row.get("DELETE"):
                continue
            if re.fullmatch(adapter.segment_pattern, row["vendor_segment"]) is None:
                form.add_error("vendor_segment", f"This is {adapter.segment_hint}.")
            if problem := refuse_code(row["segment"]) or self._taken(row["segment"]):
                form.add_error("segment", problem)

    def save_existing(self, form: Any, obj: Any, commit: bool = True) -> Any:
        """Begin anew: what was read of another segment says nothing of this one."""
        begin_anew(form.instance)
        form.instance.next_at = timezone.now()
        return super().save_existing(form, obj, commit)

    def _taken(self, code: str) -> str:
        others = PolledSegment.objects.filter(
            segment=code,
            connection__program_id=self.instance.program_id,
            connection__removed_at=None,
        ).exclude(connection_id=self.instance.pk)
        other = others.select_related("connection").first()
        return f"The connection {other.connection} fills it already." if other else ""
