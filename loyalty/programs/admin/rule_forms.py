"""The form of an earning rule: its conditions as fields, which a script turns into a sentence.

Each condition of `when` that has a field here is edited; one that has none is shown and kept.
"""

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from loyalty.programs import sentences
from loyalty.programs.admin.forms import LevelsField, PartForm, PropertiesField, WordsField
from loyalty.programs.admin.located import in_words
from loyalty.programs.models import EarningRule, TierLevel

DAYS: Final = [(code, name) for code, name in sentences.WEEKDAYS.items()]
BIRTHDAYS: Final = [("", "–"), ("day", "on their birthday"), ("month", "in its month")]

# Where a condition has keys of its own: the field of each.
BLOCKS: Final[Mapping[str, Mapping[str, str]]] = {
    "hour": {"from": "hour_from", "to": "hour_to"},
    "member_age_days": {"min": "age_min", "max": "age_max"},
    "nth_order": {"is": "nth_is", "every": "nth_every"},
}
PLAIN: Final = (
    "category",
    "brand",
    "sku",
    "store",
    "channel",
    "weekday",
    "order_amount_min",
    "order_amount_max",
    "tier",
    "segment",
    "not_in_segment",
    "birthday",
    "property",
)
FIELDS: Final = {"property": "properties"}
"""The field of a condition, where it has another name."""

CONDITION_FIELDS: Final = (
    "category",
    "brand",
    "sku",
    "store",
    "channel",
    "weekday",
    ("hour_from", "hour_to"),
    "order_amount_min",
    "order_amount_max",
    "tier",
    "segment",
    "not_in_segment",
    ("age_min", "age_max"),
    ("nth_is", "nth_every"),
    "birthday",
    "properties",
)


def _number(condition: str, label: str, help_text: str = "", least: int = 0) -> forms.IntegerField:
    return forms.IntegerField(
        required=False,
        label=label,
        help_text=help_text,
        min_value=least,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"data-condition": condition}),
    )


def _amount(condition: str, label: str) -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"data-condition": condition})
    return forms.CharField(required=False, label=label, widget=widget)


class RuleForm(PartForm):
    """An earning rule; conditions that it has no field for stay as they are."""

    category = WordsField(label="Categories", help_text="By commas: PRODUCE, DAIRY. Empty: all.")
    brand = WordsField(label="Brands", help_text="By commas. Empty: all.")
    sku = WordsField(label="Products", help_text="Their numbers, by commas. Empty: all.")
    store = WordsField(label="Stores", help_text="Their codes, by commas. Empty: all.")
    channel = WordsField(label="Channels", help_text="By commas: pos, web. Empty: all.")
    weekday = forms.MultipleChoiceField(
        label="Days of the week",
        required=False,
        choices=DAYS,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(attrs={"data-condition": "weekday"}),
    )
    hour_from = _number("hour", "From the hour", "By the program's clock, 0 to 23.")
    hour_to = _number("hour", "up to the hour", "The first that no longer counts.")
    order_amount_min = _amount("order_amount_min", "Least amount of the purchase")
    order_amount_max = _amount("order_amount_max", "Most amount of the purchase")
    tier = LevelsField(label="Members of the levels")
    segment = WordsField(label="Members in the segments", help_text="Their codes, by commas.")
    not_in_segment = WordsField(label="but not in the segments", help_text="By commas.")
    age_min = _number("member_age_days", "Member for at least", "Days; joining is day 0.")
    age_max = _number("member_age_days", "and at most", "Days.")
    nth_is = _number("nth_order", "The member's order number", "1: the first one.", 1)
    nth_every = _number("nth_order", "or each so many orders", "3: each third one.", 2)
    birthday = forms.ChoiceField(
        label="Birthday",
        required=False,
        choices=BIRTHDAYS,
        widget=UnfoldAdminSelectWidget(attrs={"data-condition": "birthday"}),
    )
    properties = PropertiesField(
        label="Properties of the activity", help_text="Such as stars: 4, 5; verified: true."
    )

    class Meta:
        model = EarningRule
        fields: tuple[str, ...] = (
            "program",
            "name",
            "code",
            "is_active",
            "trigger",
            "activity",
            "who",
            "kind",
            "points",
            "per",
            "steps",
            "multiply",
            "bonus",
            "group",
            "limit_times",
            "limit_points",
            "limit_per",
            "starts_on",
            "ends_on",
            "position",
        )
        widgets = {"is_active": UnfoldBooleanSwitchWidget()}
        labels = {
            "is_active": "Switched on",
            "trigger": "Set off by",
            "activity": "Name of the activity",
            "who": "The points go to",
            "kind": "It gives",
            "points": "So many points",
            "per": "for each of this amount",
            "steps": "The amount counts in",
            "multiply": "Factor",
            "bonus": "Bonus points",
            "limit_times": "Each member may have it",
            "limit_points": "and at most so many points in it",
            "limit_per": "times in each",
            "starts_on": "First day",
            "ends_on": "Last day",
            "position": "Place in the list",
        }
        help_texts = {
            "name": "What colleagues call it.",
            "points": "For the amount of the purchase.",
            "steps": "Rounded once, as the program says.",
            "per": "In the program's currency, such as 1.00.",
            "bonus": "A fixed number, whatever the amount.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        when = self.instance.when
        for name in PLAIN:
            field = FIELDS.get(name, name)
            self.initial.setdefault(field, when.get(name))
            if field in self.fields:
                self.fields[field].widget.attrs["data-condition"] = name
        for name, keys in BLOCKS.items():
            for key, field in keys.items():
                self.initial.setdefault(field, when.get(name, {}).get(key))
        self._offer_levels(when.get("tier", []))

    def _offer_levels(self, chosen: list[str]) -> None:
        levels = TierLevel.objects.order_by("threshold")
        if self.instance.program_id:
            levels = levels.filter(program_id=self.instance.program_id)
        field = self.fields.get("tier")
        if isinstance(field, LevelsField):
            field.offer(levels, chosen)

    @property
    def kept(self) -> str:
        """Say which conditions are kept that have no field here."""
        known = {*PLAIN, *BLOCKS}
        others = {k: v for k, v in self.instance.when.items() if k not in known}
        return sentences.value_in_words(others) if others else ""

    def _post_clean(self) -> None:
        given = self.cleaned_data
        when = {k: v for k, v in self.instance.when.items() if k not in {*PLAIN, *BLOCKS}}
        found = {name: given.get(FIELDS.get(name, name)) for name in PLAIN}
        when |= {name: value for name, value in found.items() if value}
        for name, keys in BLOCKS.items():
            block = {key: given[f] for key, f in keys.items() if given.get(f) is not None}
            when |= {name: block} if block else {}
        self.instance.when = when
        super()._post_clean()

    def _gather_unshown(self, found: dict[str, list[ValidationError]]) -> None:
        """Show what is wrong with a condition at its field."""
        for error in found.pop("when", []):
            place, _, rest = str(error.message).partition(": ")
            field = _field_of(place)
            words = in_words(rest) if field else str(error.message)
            found.setdefault(field or NON_FIELD_ERRORS, []).append(ValidationError(words))
        super()._gather_unshown(found)


def _field_of(place: str) -> str:
    """Find the field of a place in `when`: "hour.to" is hour_to, "store[0]" is store."""
    place = f"{place[:1].lower()}{place[1:]}"  # the sentence begins with it
    name, _, key = place.split("[")[0].partition(".")
    if name in BLOCKS:
        keys = BLOCKS[name]
        return keys.get(key) or next(iter(keys.values()))
    return FIELDS.get(name, name) if name in PLAIN else ""
