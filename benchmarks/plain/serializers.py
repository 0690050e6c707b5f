"""What the baseline takes, checked as the engine checks it."""

from typing import Any

from rest_framework import serializers


class LineSerializer(serializers.Serializer[Any]):
    """One line of an order."""

    line = serializers.CharField(max_length=100)
    sku = serializers.CharField(max_length=100)
    quantity = serializers.DecimalField(max_digits=13, decimal_places=4, default="1")
    amount = serializers.DecimalField(max_digits=13, decimal_places=2)
    category = serializers.CharField(max_length=100, required=False)
    brand = serializers.CharField(max_length=100, required=False)


class OrderSerializer(serializers.Serializer[Any]):
    """A purchase that was paid."""

    ref = serializers.RegexField(r"^[A-Za-z0-9._:-]+$", max_length=100)
    store = serializers.CharField(max_length=50)
    channel = serializers.CharField(max_length=20)
    occurred_at = serializers.DateTimeField()
    currency = serializers.RegexField(r"^[A-Z]{3}$")
    lines = LineSerializer(many=True, allow_empty=False)


class EarnSerializer(serializers.Serializer[Any]):
    """A member's order."""

    member = serializers.RegexField(r"^card:.{1,100}$")
    order = OrderSerializer()


class RedeemSerializer(serializers.Serializer[Any]):
    """Points to pay with."""

    member = serializers.RegexField(r"^card:.{1,100}$")
    points = serializers.IntegerField(min_value=1, max_value=1_000_000_000)
    ref = serializers.RegexField(r"^[A-Za-z0-9._:-]+$", max_length=100)
