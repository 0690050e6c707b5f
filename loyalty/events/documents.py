"""The type of a column for documents that PostgreSQL keeps and does not take apart."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class DocumentField(models.JSONField):
    """JSON that is kept as it was written: `json` where Django's own field is `jsonb`.

    PostgreSQL only checks it, at a quarter of what it costs to take it apart, and gives it back
    as it is (docs/performance.md). For what is written with each earn and read as a whole. It can
    still be looked into by `->` and `->>`, though by no index.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """Name the column's type."""
        return "json"

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        """Give it as it is: psycopg has read it, as of `jsonb` Django keeps it from doing."""
        return value
