"""The choices of a program's configuration, in the words that marketers read.

The values are those of the program file; the labels are shown in the admin.
"""

from django.db.models import TextChoices


class QualifyBy(TextChoices):
    """What counts towards a tier level; never the points that a member can spend."""

    SPEND = "spend", "what they spend"
    POINTS = "points", "points they earn"
    ORDERS = "orders", "how often they buy"


class Window(TextChoices):
    """Over which time it counts."""

    ROLLING = "rolling", "the last months, counted from today"
    CALENDAR_YEAR = "calendar_year", "the calendar year"
    MEMBERSHIP_YEAR = "membership_year", "the year since the member joined"


class Validity(TextChoices):
    """How long a level is kept once it is reached."""

    WHILE_QUALIFYING = "while_qualifying", "as long as it is earned, checked each night"
    MONTHS = "months", "some months from the day on which it was reached"
    END_OF_YEAR = "end_of_year", "to the end of the year"
    END_OF_NEXT_YEAR = "end_of_next_year", "to the end of the next year"


class OnReturn(TextChoices):
    """What a return does to a level that it was reached with."""

    KEEP = "keep", "the level stays until the next check"
    RECALCULATE = "recalculate", "the level is taken back at once"


class Downgrade(TextChoices):
    """How a member falls who no longer qualifies."""

    ONE_LEVEL = "one_level", "one level at a time"
    RECALCULATE = "recalculate", "to the level that they reach now"
    NEVER = "never", "never: a level is kept for good"


class Expiry(TextChoices):
    """When points are lost that nobody used."""

    NONE = "none", "never"
    MONTHS = "months", "some months after the purchase"
    INACTIVITY = "inactivity", "some months after the last activity"
    DATES = "dates", "on fixed dates of the year"


class Until(TextChoices):
    """Whether points live a little longer than the months say."""

    DAY = "day", "to the end of that day"
    END_OF_MONTH = "end_of_month", "to the end of that month"
    END_OF_YEAR = "end_of_year", "to the end of that year"


class Rounding(TextChoices):
    """What happens to a part of a point; once per rule."""

    DOWN = "down"
    NEAREST = "nearest", "nearest, halves up"
    UP = "up"


class Clawback(TextChoices):
    """Who pays where a purchase is returned and its points are already spent."""

    DEBT = "debt", "the member, with the next points that they earn"
    WITHIN_BALANCE = "within_balance", "the member, from other points that they have"
    WRITE_OFF = "write_off", "nobody: the points are forgotten"


class UnknownMember(TextChoices):
    """What a purchase with a card that nobody knows does."""

    REFUSE = "refuse", "refuse the purchase"
    ENROL = "enrol", "enrol a new member with that card"


class Lapsed(TextChoices):
    """What becomes of points that come back after they have expired."""

    EXPIRE = "expire", "they stay expired"
    GRACE = "grace", "they can be used for a few more days"


class RuleKind(TextChoices):
    """What the rule does; decides which of its fields count."""

    BASE = "base", "points for the amount"
    MULTIPLIER = "multiplier", "a multiple of those points"
    BONUS = "bonus", "a fixed number of points"


class RuleSteps(TextChoices):
    """How the amount is counted."""

    WHOLE = "whole", "whole steps: 3.86 gives 3 times the points"
    PROPORTIONAL = "proportional", "in proportion, rounded once"


class RuleTrigger(TextChoices):
    """What sets the rule off."""

    ORDER = "order", "a purchase"
    ACTIVITY = "activity", "a named activity, such as a review (bonus only)"
    ENROLLED = "member.enrolled", "joining the program (bonus only)"
    BIRTHDAY = "member.birthday", "a birthday (bonus only)"
    ANNIVERSARY = "member.anniversary", "the day of joining, each year (bonus only)"
    REFERRAL = "referral", "the first purchase of a friend who was brought (bonus only)"


class RuleWho(TextChoices):
    """Who gets the points of a referral."""

    REFERRER = "referrer", "the member who brought the friend"
    FRIEND = "friend", "the friend"


class Gives(TextChoices):
    """What the member gets."""

    AMOUNT_OFF = "amount_off", "an amount off the purchase"
    PERCENT_OFF = "percent_off", "a percentage off the purchase"
    PRODUCT = "product", "a product"
    CODE = "code_from_pool", "a code of a pool, used once"
    STORE_CREDIT = "store_credit", "store credit, booked elsewhere"
    CUSTOM = "custom", "something that somebody else delivers"


class CodeShown(TextChoices):
    """Who can read a code after it was handed out."""

    ALWAYS = "always", "always: in the redemption, events and the admin"
    ONCE = "once", "once: in the till's answer, and nowhere after that"


class CodeReturned(TextChoices):
    """What becomes of a code whose redemption is reversed."""

    BURN = "burn", "nobody gets it again"
    REUSE = "reuse", "the next member gets it"


class Period(TextChoices):
    """In which time a member may have it so often; by the program's calendar."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    EVER = "ever", "ever (in all)"
