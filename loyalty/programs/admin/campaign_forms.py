"""The form of a campaign: its days, its budget, and its rules, each like a standing rule."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from unfold.forms import AdminForm
from unfold.widgets import UnfoldBooleanSwitchWidget

from loyalty.programs import document, sentences
from loyalty.programs.admin.forms import PartForm
from loyalty.programs.admin.located import Located
from loyalty.programs.admin.rule_forms import RuleForm
from loyalty.programs.models import Campaign, EarningRule, Program

if TYPE_CHECKING:
    FormSet = forms.BaseFormSet[RuleForm]
else:
    FormSet = forms.BaseFormSet

ELSEWHERE = ("program", "position")
"""What a rule of a campaign has from its campaign, and has no field of its own for."""

MOST = 50


class CampaignRuleForm(RuleForm):
    """A rule of a campaign; its row is never saved, only written into the campaign's."""

    is_inline = True

    class Meta(RuleForm.Meta):
        fields = tuple(name for name in RuleForm.Meta.fields if name not in ELSEWHERE)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.code:
            self._fix("code")


class RuleRows(FormSet):
    """The rules of a campaign, in their order; new ones come after those that there are."""

    extra, min_num, max_num, absolute_max = 0, 0, MOST, 2 * MOST
    can_order, can_delete = False, True
    can_delete_extra = True
    validate_min = validate_max = False
    renderer = None

    def __init__(
        self,
        data: Any,
        *,
        form: type[RuleForm],
        program: Program | None,
        rules: Sequence[dict[str, Any]],
        problems: Sequence[Located],
    ) -> None:
        self.form, self.program, self.problems = form, program, problems
        self.rules = list(rules)
        self.extra = 0 if rules else 1
        super().__init__(data, prefix="rules", initial=[{} for _ in rules])

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        """Give each form its rule, or a new one of the campaign's program."""
        known = self.rules[index : index + 1] if index is not None else []
        columns = EarningRule.part.read(known[0]) if known else {}
        row = EarningRule(**columns, **({"program": self.program} if self.program else {}))
        return {"instance": row, "problems": self.problems}

    def add_fields(self, form: Any, index: int | None) -> None:
        """Name the way out of the campaign; the page has a button for it."""
        super().add_fields(form, index)
        form.fields["DELETE"].label = "Take this rule out"

    def entries(self, program: Program) -> list[dict[str, Any]]:
        """Write the rules as a program file has them."""
        kept = [
            form.instance.entry()
            for index, form in enumerate(self.forms)
            if form not in self.deleted_forms
            if index < self.initial_form_count() or form.has_changed()
        ]
        shape, context = EarningRule.part.shape, program.context()
        parsed = [document.parse(shape, entry, context) for entry in kept]
        return [rule.model_dump(by_alias=True, exclude_none=True) for rule in parsed]


class CampaignForm(PartForm):
    """A campaign.

    Attributes:
        rule_form: Of one of its rules, with the widgets of the admin.
        rule_admin: Whose page shows a rule's fields in their groups.
    """

    rule_form: type[RuleForm] = CampaignRuleForm
    rule_admin: Any = None

    class Meta:
        model = Campaign
        fields = (
            "program",
            "name",
            "code",
            "is_active",
            "starts_on",
            "ends_on",
            "budget_points",
            "when_short",
            "position",
        )
        widgets = {"is_active": UnfoldBooleanSwitchWidget()}
        labels = {
            "is_active": "Switched on",
            "starts_on": "First day",
            "ends_on": "Last day",
            "budget_points": "Points that it may give in all",
            "when_short": "Where less is left than an award",
            "position": "Place in the list",
        }
        help_texts = {
            "name": "What colleagues and explanations call it.",
            "budget_points": "Never exceeded, however many tills ask at once. Empty: no end.",
            "when_short": "What becomes of the last points.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rows = RuleRows(
            self.data if self.is_bound else None,
            form=self.rule_form,
            program=self._chosen(),
            rules=self.instance.rules or [],
            problems=self.problems,
        )

    def _chosen(self) -> Program | None:
        if self.instance.program_id:
            return Program.objects.get(pk=self.instance.program_id)
        chosen = str(self.data.get("program") or self.initial.get("program") or "")
        return Program.objects.filter(pk=chosen).first() if chosen.isdecimal() else None

    def _post_clean(self) -> None:
        program = self._chosen()
        if program is not None and self.rows.is_valid():
            self.instance.rules = self.rows.entries(program)
        super()._post_clean()

    def clean(self) -> Any:
        """Say where to look for what is wrong with a rule."""
        cleaned = super().clean()
        if not self.rows.is_valid():
            self.add_error(None, "One of the rules below cannot be like this.")
        return cleaned

    @property
    def changed_data(self) -> list[str]:
        """Count a rule that was written, added or taken out as a change of the campaign."""
        return [*super().changed_data, *(["rules"] if self.rows.has_changed() else [])]

    def _gather_unshown(self, found: dict[str, Any]) -> None:
        """Say once that there is no rule; what is wrong with one is said at its fields."""
        if found.pop("rules", None) and self.rows.is_valid():
            self.add_error(None, "A campaign needs a rule: write one below.")
        super()._gather_unshown(found)

    def _show(self, problem: Located) -> None:
        """Leave problems of the campaign's rules to their fields."""
        mine = {form.instance.code for form in self.rows.forms}
        if problem.model is not EarningRule or problem.code not in mine:
            super()._show(problem)

    @property
    def rules_in_words(self) -> list[tuple[str, str]]:
        """Say what the rules do, to who may only look."""
        currency = self.instance.program.currency
        return [(rule["code"], sentences.rule(rule, currency)) for rule in self.instance.rules]

    @property
    def shown_rules(self) -> Iterator[AdminForm]:
        """Lay each rule's fields out like those of a standing rule."""
        return map(self._laid_out, self.rows.forms)

    @property
    def blank_rule(self) -> AdminForm:
        """Lay out a rule to be added."""
        return self._laid_out(self.rows.empty_form)

    def _laid_out(self, form: Any) -> AdminForm:
        fieldsets = list(_without(self.rule_admin.fieldsets))
        return AdminForm(form, fieldsets, {}, (), model_admin=self.rule_admin)


def _without(fieldsets: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Leave out of a standing rule's page what a campaign says for all its rules."""
    for name, options in fieldsets:
        kept = [field for field in options["fields"] if field not in ELSEWHERE]
        lines = [
            tuple(f for f in field if f not in ELSEWHERE) if isinstance(field, tuple) else field
            for field in kept
        ]
        yield name, {**options, "fields": lines}
