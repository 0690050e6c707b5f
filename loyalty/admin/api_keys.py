"""API keys: make one, see it once, revoke it."""

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from loyalty.admin.access import only_program
from loyalty.http.auth import SCOPES, check_name, create_api_key, revoke
from loyalty.http.models import ApiKey
from loyalty.programs.admin.forms import ModelForm, WordsField, without_shortcuts

SCOPES_IN_WORDS: Final = {
    "earn": "record purchases and returns, give points",
    "redeem": "use points and rewards",
    "members:read": "read members and balances",
    "members:write": "enrol and change members",
    "adjust": "change points by hand",
    "config": "change the program",
    "events": "read the event feed",
}


class ApiKeyForm(ModelForm):
    """What a new key may do."""

    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=[(scope, f"{scope}: {SCOPES_IN_WORDS[scope]}") for scope in SCOPES],
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
    )
    stores = WordsField(
        label="Only for the stores",
        help_text="Codes by commas, such as 309, 310. Empty: all stores.",
    )

    class Meta:
        model = ApiKey
        fields = ("name", "program", "scopes", "stores", "expires_at", "rate_limit")
        labels = {"expires_at": "Valid until", "rate_limit": "Requests per minute"}
        help_texts = {
            "name": "Which till or system uses it; ledger transactions name it.",
            "expires_at": "Empty: until it is revoked.",
            "rate_limit": "More are refused for the rest of the minute. Empty: no limit.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "program" in self.fields:
            without_shortcuts(self.fields["program"])

    def clean_name(self) -> str:
        """Refuse a name that is a person's."""
        name: str = self.cleaned_data["name"]
        try:
            check_name(name)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        return name

    def clean(self) -> dict[str, Any]:
        """Refuse what would make a key that can do nothing: no requests, unknown stores."""
        found: dict[str, Any] = super().clean() or {}
        if found.get("rate_limit") == 0:
            self.add_error("rate_limit", "At least 1; a key with 0 could do nothing.")
        program, codes = found.get("program"), set(found.get("stores") or ())
        if program and codes:
            known = set(program.stores.filter(code__in=codes).values_list("code", flat=True))
            if codes - known:
                unknown = ", ".join(sorted(codes - known))
                self.add_error("stores", f"{program} has no store with the code {unknown}.")
        return found


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """The keys of tills and systems; only their beginnings are known."""

    empty_words = "No key yet. Each till, shop or system gets one of its own."
    form = ApiKeyForm
    list_display = ("name", "begins", "program", "may", "state", "created_at")
    list_filter = ("program",)
    list_select_related = ("program",)
    search_fields = ("name", "prefix")
    actions = None
    actions_detail = ("revoke_key",)
    add_fieldsets = (
        (None, {"fields": ("name", "program", "scopes", "stores", "expires_at", "rate_limit")}),
    )
    fields = (
        "name",
        "begins",
        "program",
        "may",
        "for_stores",
        "created_at",
        "expires_at",
        "limit",
        "revoked_at",
    )
    readonly_fields = ("begins", "may", "for_stores", "created_at", "limit", "revoked_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: make another key instead, so that a till's rights do not change silently."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: a key is revoked, and its name stays."""
        return False

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whoever may change keys; named here because a look-up at start needs a database."""
        return request.user.has_perm("loyalty.change_apikey")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Choose what most tills need, and the program where there is only one."""
        given = super().get_changeform_initial_data(request)
        return {"scopes": ["earn", "redeem", "members:read"], **only_program(), **given}

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Offer one button: the next page shows the key."""
        only_one = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(request, form_url, {**only_one, **(extra_context or {})})

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Make the key by the service that knows how; keep its secret for the answer only."""
        row, plain = create_api_key(
            program_id=obj.program_id,
            scopes=form.cleaned_data["scopes"],
            name=obj.name,
            stores=form.cleaned_data["stores"],
            expires_at=obj.expires_at,
            rate_limit=obj.rate_limit,
        )
        obj.pk, obj.prefix = row.pk, row.prefix
        setattr(request, "plain_key", plain)  # noqa: B010 -- not a field of Django's

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the key, now and never again; it is kept nowhere, not even in the session."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Your new API key",
            "opts": self.opts,
            "key": obj,
            "plain": getattr(request, "plain_key", ""),
            "page": reverse("admin:loyalty_apikey_change", args=[obj.pk]),
        }
        response = TemplateResponse(request, "admin/loyalty/apikey/created.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    @action(
        description="Revoke",
        url_path="revoke",
        icon="block",
        permissions=["revoke"],
    )
    def revoke_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask, then make the key useless everywhere."""
        key = self.get_object(request, object_id)
        page = reverse("admin:loyalty_apikey_changelist")
        if key is None:
            return HttpResponseRedirect(page)
        if request.method == "POST":
            revoke(key)
            self.log_change(request, key, "Revoked.")
            messages.success(request, f"{key.name} is revoked; it works nowhere any more.")
            return HttpResponseRedirect(page)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Revoke {key.name}?",
            "opts": self.opts,
            "original": key,
            "key": key,
        }
        return TemplateResponse(request, "admin/loyalty/apikey/revoke.html", context)

    @display(description="Begins with")
    def begins(self, key: ApiKey) -> str:
        """Show the part by which a key can be recognised."""
        return f"{key.prefix}…"

    @display(description="It may")
    def may(self, key: ApiKey) -> str:
        """List the scopes."""
        return "everything" if set(key.scopes) == set(SCOPES) else ", ".join(key.scopes)

    @display(description="Requests per minute")
    def limit(self, key: ApiKey) -> str:
        """Show its limit."""
        return "no limit" if key.rate_limit is None else f"{key.rate_limit:,}"

    @display(description="Stores")
    def for_stores(self, key: ApiKey) -> str:
        """List the stores."""
        return ", ".join(key.stores) or "all"

    @display(
        description="State",
        label={"in use": "success", "revoked": "danger", "expired": "warning"},
    )
    def state(self, key: ApiKey) -> str:
        """Tell whether it still works."""
        if key.revoked_at:
            return "revoked"
        return "expired" if key.expires_at and key.expires_at <= timezone.now() else "in use"
