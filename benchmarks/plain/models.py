"""A balance, lots, transactions: the tables of most loyalty plugins."""

from django.db import models


class ApiKey(models.Model):
    """A till's key."""

    key = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=100)


class Member(models.Model):
    """A member with one card."""

    card = models.CharField(max_length=100, unique=True)
    status = models.CharField(max_length=20, default="active")
    created_at = models.DateTimeField(auto_now_add=True)


class Balance(models.Model):
    """A member's points: the row that is locked."""

    member = models.OneToOneField(Member, on_delete=models.PROTECT)
    available = models.BigIntegerField(default=0)
    lifetime_earned = models.BigIntegerField(default=0)
    version = models.BigIntegerField(default=0)


class EarningRule(models.Model):
    """Points for each whole unit of money, doubled for a category."""

    code = models.CharField(max_length=50, unique=True)
    points = models.IntegerField(default=0)
    multiply = models.IntegerField(default=1)
    category = models.CharField(max_length=50, blank=True)
    active = models.BooleanField(default=True)


class Transaction(models.Model):
    """What happened."""

    member = models.ForeignKey(Member, on_delete=models.PROTECT)
    kind = models.CharField(max_length=20)
    points = models.BigIntegerField()
    source_ref = models.CharField(max_length=100)
    store = models.CharField(max_length=50)
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    details = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "source_ref"], name="once")]


class Lot(models.Model):
    """Points that were earned together."""

    member = models.ForeignKey(Member, on_delete=models.PROTECT)
    transaction = models.ForeignKey(Transaction, on_delete=models.PROTECT)
    granted = models.BigIntegerField()
    available = models.BigIntegerField()
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["member", "expires_at"], name="lot_by_member")]


class Idempotency(models.Model):
    """An answer under its key."""

    key = models.CharField(max_length=255, unique=True)
    request_hash = models.CharField(max_length=64)
    status = models.SmallIntegerField()
    body = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)


class Outbox(models.Model):
    """An event to be sent."""

    type = models.CharField(max_length=50)
    member = models.ForeignKey(Member, on_delete=models.PROTECT)
    payload = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
