"""What members have had of earning rules."""

from django.db import models


class RuleUse(models.Model):
    """How often, and for how many points, a limited rule gave to one member in one period.

    Sums, so that a limit costs one look-up, however many orders there were; written in the same
    statement as the award, under the member's lock.
    """

    pk = models.CompositePrimaryKey("member_id", "starts_on", "rule", "per")
    member_id = models.UUIDField()
    starts_on = models.DateField(help_text="First local day of the period; 0001-01-01 for ever.")
    rule = models.CharField(max_length=50)
    per = models.CharField(max_length=10)
    times = models.IntegerField()
    points = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.rule} per {self.per} from {self.starts_on}"
