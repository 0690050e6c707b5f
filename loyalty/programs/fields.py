"""A column for amounts and factors: exact, and shown as people write them."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    DecimalField = models.DecimalField[Any, Any]
else:
    DecimalField = models.DecimalField


class ExactDecimalField(DecimalField):
    """Numeric with four decimals; reads 2 as "2" and 2.5 as "2.50", not as "2.5000".

    Four decimals hold every currency of ISO 4217, and what a marketer sees in a form is what
    they typed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 19)
        kwargs.setdefault("decimal_places", 4)
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: Decimal | None, *_: object) -> Decimal | None:
        """Trim the zeros that the column adds."""
        return None if value is None else trim(value)


def trim(value: Decimal) -> Decimal:
    """Drop trailing zeros: all of a whole number's, and those beyond the second decimal."""
    if value == value.to_integral_value():
        return value.quantize(Decimal(1))
    exponent = value.normalize().as_tuple().exponent
    return value.quantize(Decimal(1).scaleb(min(-2, int(exponent))))
