"""The form in which marketers edit a reward."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldBooleanSwitchWidget

from loyalty.programs.admin.forms import LevelsField, PartForm, PricesField, WordsField
from loyalty.programs.models import Reward, TierLevel


class RewardForm(PartForm):
    """A reward of the catalogue."""

    tiers = LevelsField(label="Only for", help_text="Members of these levels. None chosen: all.")
    segments = WordsField(
        label="Only for members in", help_text="Codes of segments, by commas. Empty: all."
    )
    not_in_segments = WordsField(
        label="Not for members in", help_text="Codes of segments, by commas."
    )
    tier_costs = PricesField(
        label="Other prices",
        help_text="Points for members of single levels: gold: 400, silver: 450. Empty: all the "
        "same.",
    )
    stock_low = WordsField(
        base_field=forms.IntegerField(min_value=0),
        label="Tell us when so many are left",
        help_text="By commas: 10, 0. Empty: never. Goes with a stock.",
    )

    class Meta:
        model = Reward
        fields = (
            "program",
            "name",
            "code",
            "is_active",
            "cost",
            "tier_costs",
            "gives",
            "amount",
            "percent",
            "what",
            "code_shown",
            "code_returned",
            "stock",
            "stock_low",
            "per_member_times",
            "per_member_per",
            "auto_redeem",
            "tiers",
            "segments",
            "not_in_segments",
            "starts_on",
            "ends_on",
            "position",
        )
        widgets = {
            "is_active": UnfoldBooleanSwitchWidget(),
            "auto_redeem": UnfoldBooleanSwitchWidget(),
        }
        labels = {
            "is_active": "Switched on",
            "cost": "Points that it costs",
            "gives": "It gives",
            "percent": "Percent off",
            "what": "Product number, pool of codes, or what is to be done",
            "code_shown": "The code can be read",
            "code_returned": "After a reversal",
            "stock": "How many there are",
            "per_member_times": "Each member may have it",
            "per_member_per": "times in each",
            "auto_redeem": "Redeemed by itself",
            "starts_on": "First day",
            "ends_on": "Last day",
            "position": "Place in the list",
        }
        help_texts = {
            "cost": "",
            "amount": "In the program's currency, such as 5.00. Of a percentage, the most that it "
            "takes off; empty: no limit.",
            "percent": "Such as 10 or 12.5.",
            "what": "A pool's name as it was uploaded; for others to deliver, such as massage-30.",
            "stock": "In all, with those already taken; what is left changes by the difference. "
            "Empty: no limit.",
            "per_member_times": "So often; empty: no limit.",
            "per_member_per": "By the program's calendar.",
            "auto_redeem": "As soon as a member has the points: at the till, or in the night.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        levels = TierLevel.objects.order_by("threshold")
        if self.instance.pk:
            levels = levels.filter(program_id=self.instance.program_id)
        field = self.fields["tiers"]
        assert isinstance(field, LevelsField)
        field.offer(levels, self.instance.tiers)
