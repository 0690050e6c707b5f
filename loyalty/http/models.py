"""API keys, and the idempotency keys under which answers are kept."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class ApiKey(models.Model):
    """A till's or system's key: one program, a set of stores, a set of scopes.

    Only a keyed hash of the secret is kept; the key itself is shown once.
    """

    program = models.ForeignKey("loyalty.Program", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=20, unique=True, editable=False)
    secret_hash = models.BinaryField(max_length=32, editable=False)
    scopes = ArrayField(models.CharField(max_length=30))
    stores = ArrayField(
        models.CharField(max_length=50),
        default=list,
        blank=True,
        help_text="Codes of the stores it may act for; empty means all of them.",
    )
    rate_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests per minute; empty means no limit."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


REQUEST_OF_BODY = models.Func(
    models.F("body"),
    template=r"""substring(%(expressions)s from '"request_id":"((?:[^"\\]|\\.)*)"')""",
    output_field=models.TextField(),
)
"""The request id that a stored refusal names, escaped as in JSON.

Read as text: a refusal may quote what PostgreSQL takes in no JSON value, and none may fail for it.
"""


class IdempotencyKey(models.Model):
    """One claimed key of one client, and the answer that it always gets.

    A row is claimed (status null) and completed in the same transaction as the effect, so a
    committed row always carries its answer. `client` is the id of the API key, or 0 for the
    engine's own jobs.
    """

    pk = models.CompositePrimaryKey("client", "key")
    client = models.BigIntegerField()
    key = models.CharField(max_length=255)
    request_hash = models.BinaryField(max_length=32)
    status = models.SmallIntegerField(null=True)
    body = models.TextField(null=True)
    personal_of = models.UUIDField(null=True, help_text="Of whom the answer has personal data.")
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["created_at"], name="idempotency_key_age"),
            models.Index(
                fields=["personal_of"],
                name="idempotency_key_personal",
                condition=models.Q(personal_of__isnull=False),
            ),
            models.Index(
                REQUEST_OF_BODY,
                "created_at",
                name="idempotency_key_refused",
                condition=models.Q(status__gte=400),
            ),
        ]
