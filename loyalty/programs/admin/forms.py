"""The forms in which marketers edit a program: labels, plain help, and where problems show."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.forms.models import BaseInlineFormSet
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextInputWidget,
)

from loyalty.programs.admin.located import Located, in_words
from loyalty.programs.admin.seen import Seen
from loyalty.programs.models import (
    PointCurrency,
    Program,
    Store,
    TierLevel,
)

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
    InlineFormSet = BaseInlineFormSet[Any, Any, Any]
else:
    ModelForm, InlineFormSet = forms.ModelForm, BaseInlineFormSet

FIXED = " It stays as it is, because members' histories name it."


class PartForm(Seen, ModelForm):
    """A form of a part of a program.

    Attributes:
        problems: What publishing refused: shown at its field where the form has it.
    """

    problems: Sequence[Located] = ()

    def __init__(self, *args: Any, problems: Sequence[Located] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.problems = [*self.problems, *problems]
        self.remember()
        if self.instance.pk:
            self._fix("code", "program")
        if "program" in self.fields:
            without_shortcuts(self.fields["program"])

    def _fix(self, *names: str) -> None:
        for name in names:
            field = self.fields.get(name)
            if field is not None:
                field.disabled = True
                field.help_text = FIXED.strip() if name == "code" else field.help_text

    def _post_clean(self) -> None:
        """Check the row by itself, then say what the whole program had against it."""
        super()._post_clean()  # type: ignore[misc]  # django-stubs leaves it out
        for problem in self.problems:
            self._show(problem)

    def _show(self, problem: Located) -> None:
        own = problem.model is self._meta.model
        mine = own and problem.code in ("", getattr(self.instance, "code", ""))
        if mine and problem.column in self.fields:
            self.add_error(problem.column, problem.message)
        elif mine and not problem.column:
            self.add_error(None, problem.message)
        elif not self.is_inline:
            self.add_error(None, str(problem))

    is_inline = False

    def _update_errors(self, errors: ValidationError) -> None:
        """Put the row's own problems into the words of a form, too.

        What a field could not read is told there once: of what it read instead, which is nothing,
        the row would say the same in other words.
        """
        if hasattr(errors, "error_dict"):
            for name in errors.error_dict.keys() & self.errors.keys():
                del errors.error_dict[name]
            for name, found in errors.error_dict.items():
                errors.error_dict[name] = [_reworded(error) for error in found]
            self._gather_unshown(errors.error_dict)
        super()._update_errors(errors)  # type: ignore[misc]  # django-stubs leaves it out

    def _gather_unshown(self, found: dict[str, list[ValidationError]]) -> None:
        """Keep problems of columns that this form does not show, rather than lose them."""
        for name in [n for n in found if n != NON_FIELD_ERRORS and n not in self.fields]:
            found.setdefault(NON_FIELD_ERRORS, []).extend(found.pop(name))


def without_shortcuts(field: Any) -> None:
    """Leave out the theme's menu for adding and changing programs from another form."""
    for name in ("can_add_related", "can_change_related", "can_view_related"):
        setattr(field.widget, name, False)


def _reworded(error: ValidationError) -> ValidationError:
    if error.code is not None or not isinstance(error.message, str):
        return error
    return ValidationError(in_words(error.message))


class InlineForm(PartForm):
    """A row on the program's page."""

    is_inline = True


class InlineRows(InlineFormSet):
    """Rows that are checked against the program as the form above has it, saved or not."""

    def _construct_form(self, i: int, **kwargs: Any) -> Any:
        form = super()._construct_form(i, **kwargs)  # type: ignore[misc]  # not in the stubs
        form.instance.program = self.instance
        return form


class WordsField(SimpleArrayField):
    """Some words in one line, by commas."""

    def __init__(self, **kwargs: Any) -> None:
        base = kwargs.pop("base_field", None) or forms.CharField(max_length=100)
        super().__init__(base, required=False, widget=UnfoldAdminTextInputWidget(), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Show a space after each comma."""
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        """Forgive a comma too many."""
        text = value.strip().strip(",") if isinstance(value, str) else value
        return [item.strip() if isinstance(item, str) else item for item in super().clean(text)]


class PropertiesField(forms.CharField):
    """Values by name in one line: stars: 4, 5; verified: true."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=UnfoldAdminTextInputWidget(), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Write names and values as people type them."""
        if not isinstance(value, dict):
            return value
        return "; ".join(f"{name}: {', '.join(map(str, found))}" for name, found in value.items())

    def clean(self, value: Any) -> Any:
        """Read it back; the rest is for the checks of a program."""
        found: dict[str, list[str]] = {}
        for part in filter(None, map(str.strip, (super().clean(value) or "").split(";"))):
            name, colon, values = part.partition(":")
            words = [word.strip() for word in values.split(",") if word.strip()]
            if not colon or not words:
                raise forms.ValidationError("Write a name, a colon and its values: stars: 4, 5.")
            found.setdefault(name.strip(), []).extend(words)
        return found


class PricesField(forms.CharField):
    """Points by level in one line: gold: 400, silver: 450."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=UnfoldAdminTextInputWidget(), **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """Write codes and numbers as people type them."""
        if not isinstance(value, dict):
            return value
        return ", ".join(f"{level}: {points}" for level, points in value.items())

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare as people see it: nothing is the same as an empty line."""
        return bool(self.prepare_value(initial or {}) != (data or "").strip())

    def clean(self, value: Any) -> Any:
        """Read it back; the rest is for the checks of a program."""
        found = {}
        for part in filter(None, (part.strip() for part in super().clean(value).split(","))):
            level, _, points = part.partition(":")
            if not points.strip().isdecimal():
                raise ValidationError("Write a code and a number like this: gold: 400, silver: 450")
            found[level.strip()] = int(points)
        return found


class LevelsField(forms.MultipleChoiceField):
    """Tier levels to choose from, by their names."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget(), **kwargs)

    def offer(self, levels: Iterable[TierLevel], chosen: Sequence[str]) -> None:
        """Offer these levels; one that was chosen and is gone stays visible, to be taken out."""
        names = {level.code: level.name for level in levels}
        gone = {code: f"{code} (no longer a level)" for code in chosen if code not in names}
        self.choices = [*names.items(), *gone.items()]


class ProgramForm(PartForm):
    """Who the program is, and how its members rise and fall."""

    class Meta:
        model = Program
        fields = (
            "code",
            "name",
            "timezone",
            "currency",
            "qualify_by",
            "window",
            "rolling_months",
            "validity",
            "validity_months",
            "warning_days",
            "downgrade",
            "grace_days",
            "on_return",
        )
        labels = {
            "timezone": "Time zone",
            "qualify_by": "Members rise by",
            "window": "Counted over",
            "rolling_months": "How many months",
            "validity": "A level is kept",
            "validity_months": "How many months",
            "warning_days": "Days of warning",
            "downgrade": "Who no longer qualifies falls",
            "grace_days": "Days of grace",
            "on_return": "When that purchase comes back",
        }
        help_texts = {
            "rolling_months": "Where the last months count.",
            "validity_months": "Where a level is kept for some months.",
            "warning_days": "Before the level ends; 0: no warning then.",
            "grace_days": "For which a level is kept that is no longer earned.",
            "on_return": "The one with which a level was reached.",
        }


class PointsForm(InlineForm):
    """How points behave."""

    expiring_notice_days = WordsField(
        base_field=forms.IntegerField(min_value=1, max_value=366),
        label="Tell members before points expire",
        help_text="So many days before, by commas: 30, 7. Empty: never.",
    )
    inactive_notice_days = WordsField(
        base_field=forms.IntegerField(min_value=1, max_value=3650),
        label="Tell when a member stays away",
        help_text="After so many days without a purchase, by commas: 90, 180. Empty: never.",
    )
    expiry_dates = WordsField(
        label="Expiry dates",
        help_text="For fixed dates: month and day, by commas, such as 03-31, 12-31.",
    )

    class Meta:
        model = PointCurrency
        fields = "__all__"
        labels = {
            "name": "Name of the points",
            "rounding": "A part of a point is rounded",
            "value_points": "So many points",
            "value_amount": "pay for",
            "pay_min": "Pay with at least",
            "pay_step": "in steps of",
            "pay_max_share": "and at most this share (%)",
            "maturity_days": "Days until usable",
            "hold_minutes": "Minutes of a reservation",
            "unknown_member": "A card that nobody knows",
            "expiry": "Points expire",
            "expiry_months": "After how many months",
            "expiry_until": "and then",
            "clawback": "A return whose points are spent is paid by",
            "accept_late_days": "Days for late purchases",
            "lapsed": "Points that come back expired",
            "lapsed_grace_days": "Days that they can still be used",
            "adjustment_limit": "Adjustments that need a second person: above",
            "signal_orders": "Signal of fraud: purchases in an hour above",
            "signal_adjustments": "and adjustments above",
        }
        help_texts = {
            "rounding": "Once for each rule and purchase.",
            "expiry_until": "For months after the purchase: how long points live on after them.",
            "value_points": "When members pay with points.",
            "value_amount": "This amount, in the program's currency.",
            "pay_max_share": "Of the purchase, in percent. Empty: tills need not say its amount.",
            "expiry_months": "For expiry after the purchase, or after the last activity.",
            "clawback": "Where a purchase is returned and its points are already used.",
            "lapsed": "After a cancelled redemption, for example.",
            "adjustment_limit": "Points for one member by one colleague in 24 hours. Empty: never.",
            "signal_orders": "Of one member. Empty: never.",
            "signal_adjustments": "By one colleague or API key. Empty: never.",
        }

    def has_changed(self) -> bool:
        """Save the row of a new program also where all defaults are kept."""
        return super().has_changed() or self.instance.pk is None


class LevelForm(InlineForm):
    """A tier level."""

    perks = WordsField(help_text="By commas: Free delivery, Early access.")
    entry_rewards = WordsField(
        label="Gives on reaching it", help_text="Codes of rewards, by commas: mug, cinema."
    )
    free_redemptions = PricesField(
        label="Free in a year", help_text="So many of a reward, by its code: coffee: 12, wash: 4."
    )

    class Meta:
        model = TierLevel
        fields = (
            "name",
            "code",
            "threshold",
            "earn_multiplier",
            "keep",
            "perks",
            "entry_rewards",
            "free_redemptions",
        )
        labels = {"threshold": "From", "earn_multiplier": "Points factor", "keep": "Never lost"}


class StoreForm(PartForm):
    """A store."""

    class Meta:
        model = Store
        fields = ("program", "name", "code")
