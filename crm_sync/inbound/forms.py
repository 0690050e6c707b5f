"""How a person sets up a source: the settings of its kind, instead of JSON."""

from typing import TYPE_CHECKING, Any

from django import forms
from unfold.widgets import UnfoldAdminPasswordWidget

from crm_sync.adapters.contract import ConfigRefused, Setting
from crm_sync.forms import input_of, stored
from crm_sync.inbound.models import Source
from crm_sync.inbound.sources import check_account, check_source
from crm_sync.inbound.vendors import KINDS
from crm_sync.models import Connection
from loyalty.programs.admin.forms import without_shortcuts

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Source]
else:
    ModelForm = forms.ModelForm

_KEPT = "It is stored and never shown. Leave it empty to keep it."


class SourceForm(ModelForm):
    """A source's settings; program and kind are chosen once."""

    kind = forms.CharField(widget=forms.HiddenInput())

    class Meta:
        model = Source
        fields = ("program", "name", "kind", "connection", "matches_unverified", "is_enabled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.secret = ""
        without_shortcuts(self.fields["program"])
        if self.instance._state.adding:
            return
        for name in ("program", "kind"):
            self.fields[name].disabled = True
        for setting in settings_of(self.instance.kind):
            self.fields[setting.name].initial = stored(setting, self.instance.config)
        if "secret" in self.fields:
            self.fields["secret"].help_text = _KEPT

    def clean(self) -> dict[str, Any]:
        """Let the kind judge what belongs to it; its sentence appears at the field."""
        found: dict[str, Any] = super().clean() or {}
        kind = found.get("kind", "")
        self.secret = (found.get("secret") or "").strip()
        given = {s.name: found[s.name].strip() for s in settings_of(kind) if found.get(s.name)}
        is_new = self.instance._state.adding
        try:
            self.instance.config = check_source(
                kind=kind, config=given, secret=self.secret, is_new=is_new
            )
        except ConfigRefused as error:
            shown = [name for name in ("secret", *given) if name in self.fields]
            self.add_error(shown[0] if shown else None, str(error))
        connection = found.get("connection")
        self._check_account(kind, connection)
        if connection is not None and connection.program_id != self._program_id(found):
            self.add_error("connection", "This connection is of another program.")
        return found

    def _check_account(self, kind: str, connection: Connection | None) -> None:
        if self.errors:
            return
        try:
            check_account(kind=kind, config=self.instance.config, connection=connection)
        except ConfigRefused as error:
            self.add_error("connection", str(error))

    def _program_id(self, found: dict[str, Any]) -> int | None:
        program = found.get("program")
        return program.pk if program is not None else None


def settings_of(kind: str) -> list[Setting]:
    """List what a person fills in for a kind of source."""
    return list(KINDS[kind].settings) if kind in KINDS else []


def form_for(kind: str) -> type[SourceForm]:
    """Make the form for one kind of source."""
    fields: dict[str, Any] = {setting.name: input_of(setting) for setting in settings_of(kind)}
    if kind in KINDS and not KINDS[kind].makes_secret:
        fields["secret"] = forms.CharField(
            label="Secret",
            required=False,  # the kind says what is missing, in a sentence
            max_length=500,
            widget=UnfoldAdminPasswordWidget(render_value=False),
            help_text="Under which the vendor signs. It is encrypted, and never shown again.",
        )
    return type("SourceFormOfKind", (SourceForm,), fields)
