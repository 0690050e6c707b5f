"""Earn and redeem with serializers, the ORM and select_for_update.

An earn is 13 round trips, BEGIN and COMMIT included, and five writes: transaction, lot, balance,
event, and the answer under its key.
"""

import hashlib
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.plain.models import (
    Balance,
    EarningRule,
    Idempotency,
    Lot,
    Member,
    Outbox,
    Transaction,
)
from benchmarks.plain.serializers import EarnSerializer, RedeemSerializer


class MoneyView(APIView):
    """Do something once under the request's key, in one transaction."""

    serializer: Any = None

    def post(self, request: Request) -> Response:
        """Answer as the first time, or do it now."""
        key = request.headers.get("Idempotency-Key")
        if not key:
            raise ValidationError("Idempotency-Key is required.")
        serializer = self.serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        request_hash = hashlib.sha256(request.body_bytes).hexdigest()
        with transaction.atomic():
            known = Idempotency.objects.filter(key=key).first()
            if known is not None:
                if known.request_hash != request_hash:
                    raise ValidationError("The key was used for another request.")
                return Response(known.body, status=known.status)
            body = self.perform(serializer.validated_data)
            Idempotency.objects.create(key=key, request_hash=request_hash, status=201, body=body)
        return Response(body, status=201)

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Request:
        """Keep the body: DRF's parser reads it away."""
        wrapped = super().initialize_request(request, *args, **kwargs)
        wrapped.body_bytes = request.body  # type: ignore[attr-defined]
        return wrapped

    def perform(self, data: dict[str, Any]) -> dict[str, Any]:
        """Do it, and give the answer."""
        raise NotImplementedError

    def lock(self, reference: str) -> tuple[Member, Balance]:
        """Find the member and lock the balance."""
        card = reference.removeprefix("card:")
        try:
            member = Member.objects.get(card=card, status="active")
        except Member.DoesNotExist:
            raise NotFound() from None
        return member, Balance.objects.select_for_update().get(member=member)


class EarnView(MoneyView):
    """POST /v1/earn."""

    serializer = EarnSerializer

    def perform(self, data: dict[str, Any]) -> dict[str, Any]:
        """Calculate and write the points of an order."""
        order = data["order"]
        member, balance = self.lock(data["member"])
        if Transaction.objects.filter(kind="earn", source_ref=order["ref"]).exists():
            raise ValidationError("The order is recorded already.")
        points, explanation = points_of(order)
        done = Transaction.objects.create(
            member=member,
            kind="earn",
            points=points,
            source_ref=order["ref"],
            store=order["store"],
            occurred_at=order["occurred_at"],
            details={"explanation": explanation},
        )
        expires_at = order["occurred_at"] + timedelta(days=365)
        Lot.objects.create(
            member=member,
            transaction=done,
            granted=points,
            available=points,
            expires_at=expires_at,
        )
        balance.available += points
        balance.lifetime_earned += points
        balance.version += 1
        balance.save()
        body = {
            "id": done.pk,
            "member": member.pk,
            "order": order["ref"],
            "points": points,
            "expires_at": expires_at.isoformat(),
            "balance": {"available": balance.available, "version": balance.version},
            "explanation": explanation,
        }
        Outbox.objects.create(type="points.earned", member=member, payload=body)
        return body


def points_of(order: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Apply the rules: points for each whole dollar, and more for a category."""
    total = sum((line["amount"] for line in order["lines"]), Decimal(0))
    points, explanation = 0, []
    for rule in EarningRule.objects.filter(active=True):
        if rule.category:
            matching = [
                line["amount"] for line in order["lines"] if line.get("category") == rule.category
            ]
            earned = int(sum(matching, Decimal(0))) * (rule.multiply - 1)
        else:
            earned = int(total) * rule.points
        points += earned
        explanation.append({"rule": rule.code, "points": earned})
    return points, explanation


class RedeemView(MoneyView):
    """POST /v1/redeem."""

    serializer = RedeemSerializer

    def perform(self, data: dict[str, Any]) -> dict[str, Any]:
        """Take the points of the lots that expire first."""
        points = data["points"]
        member, balance = self.lock(data["member"])
        if balance.available < points:
            raise ValidationError("There are not enough points.")
        if Transaction.objects.filter(kind="redeem", source_ref=data["ref"]).exists():
            raise ValidationError("It is redeemed already.")
        take_from_lots(member, points)
        done = Transaction.objects.create(
            member=member,
            kind="redeem",
            points=-points,
            source_ref=data["ref"],
            store="",
            occurred_at=timezone.now(),
        )
        balance.available -= points
        balance.version += 1
        balance.save()
        body = {
            "id": done.pk,
            "points": points,
            "balance": {"available": balance.available, "version": balance.version},
        }
        Outbox.objects.create(type="points.redeemed", member=member, payload=body)
        return body


def take_from_lots(member: Member, points: int) -> None:
    """Take points from lots in the order in which they expire."""
    lots = Lot.objects.select_for_update().filter(
        member=member, available__gt=0, expires_at__gt=timezone.now()
    )
    for lot in lots.order_by("expires_at", "id").iterator(chunk_size=100):
        taken = min(points, lot.available)
        lot.available -= taken
        lot.save()
        points -= taken
        if not points:
            return
    raise ValidationError("There are not enough points.")
