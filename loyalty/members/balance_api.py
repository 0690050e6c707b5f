"""A member's points over HTTP: the balance, now and in the past, the statement and the lots."""

from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from loyalty.engine.commands import Ask
from loyalty.engine.look import look
from loyalty.engine.session import MemberWork
from loyalty.errors import MemberNotFound, TransactionNotFound, ValidationFailed
from loyalty.http.fields import MAX_INT64, Instant
from loyalty.http.ids import decode_id
from loyalty.http.pagination import Page, decode_cursor, encode_cursor
from loyalty.http.schema import operation
from loyalty.http.views import Endpoint, json_response
from loyalty.members.answers import BalanceAnswer, LedgerPage, LedgerTransaction, LotPage
from loyalty.members.api import MEMBER, member_in_path
from loyalty.members.rows import expiring_of
from loyalty.members.statements import (
    NOTHING_YET,
    balance_at,
    ledger_item,
    ledger_of,
    lot_item,
    lots_of,
    past_balance,
    read_transaction,
)

Row = tuple[Any, ...]


class BalanceQuery(BaseModel):
    """At which time; now unless `at` says otherwise."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    at: Instant | None = Field(default=None, description="The balance of then, not of now.")

    @field_validator("at", mode="before")
    @classmethod
    def _plus_is_not_a_space(cls, value: Any) -> Any:
        """Read `…T10:00:00+01:00` as it was meant: in a query, an unquoted + is a space."""
        return value.replace(" ", "+") if isinstance(value, str) else value


class BalanceView(Endpoint):
    """GET /v1/members/{member}/balance."""

    scopes = {"GET": ("members:read",)}

    @operation(
        "get_balance",
        "Read the balance, now or at a time",
        tag="Points",
        path=MEMBER,
        query=BalanceQuery,
        answers={200: BalanceAnswer},
        errors=[MemberNotFound],
    )
    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        ref = member_in_path(member)
        at = self.query(request, BalanceQuery).at if request.GET else None
        if at is None:
            expiring = expiring_of(ref)
            session, work = look(self.principal, ref, [expiring])
            soon = [{"points": row[0], "expires_at": row[1]} for row in session.found(expiring)]
            return json_response({**work.books.wallet.as_balance(), "expiring": soon})
        past = balance_at(ref, at)
        session, work = look(self.principal, ref, [past])
        if at > work.now:
            raise ValidationFailed(errors=[{"pointer": "/at", "message": "lies in the future"}])
        found = session.found(past)
        return json_response(past_balance(found[0]) if found else NOTHING_YET)


class HistoryView(Endpoint):
    """Base of a member's lists, newest first; the member's numbers are their order and cursor."""

    scopes = {"GET": ("members:read",)}

    def page(
        self, request: HttpRequest, member: str, ask: Callable[..., Ask]
    ) -> tuple[MemberWork, Sequence[Row], str | None]:
        """Read one page: the member, the rows, and the cursor of the next page.

        Args:
            ask: Makes the question; its rows have the member's id and the number in front.
        """
        ref = member_in_path(member)
        page = self.query(request, Page)
        scope = f"{self.principal.program_id} {request.path}"
        before = decode_cursor(scope, page.cursor)[0] if page.cursor else MAX_INT64
        question = ask(ref, before=before, most=page.limit + 1)
        session, work = look(self.principal, ref, [question])
        rows: list[Row] = session.found(question)
        if len(rows) <= page.limit:
            return work, rows, None
        rows = rows[: page.limit]
        return work, rows, encode_cursor(scope, [rows[-1][1]])


class LedgerView(HistoryView):
    """GET /v1/members/{member}/ledger."""

    @operation(
        "list_ledger",
        "Read the statement, with explanations",
        tag="Points",
        path=MEMBER,
        query=Page,
        answers={200: LedgerPage},
        errors=[MemberNotFound],
    )
    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        _, rows, cursor = self.page(request, member, ledger_of)
        return json_response({"items": [ledger_item(row) for row in rows], "next_cursor": cursor})


class LedgerTransactionView(Endpoint):
    """GET /v1/ledger-transactions/{transaction}."""

    scopes = {"GET": ("members:read",)}

    @operation(
        "get_ledger_transaction",
        "Read a ledger transaction: what moved and why, however long ago",
        tag="Points",
        path={"transaction": "The id that an answer, the statement or an event gave."},
        answers={200: LedgerTransaction},
        errors=[TransactionNotFound, ValidationFailed],
    )
    def get(self, request: HttpRequest, transaction: str) -> HttpResponse:
        self.no_query(request)
        found = decode_id("txn", transaction)
        if found is None:
            raise TransactionNotFound()
        return json_response(read_transaction(self.principal, *found))


class LotsView(HistoryView):
    """GET /v1/members/{member}/lots."""

    @operation(
        "list_lots",
        "Read the lots, with their expiry",
        tag="Points",
        path=MEMBER,
        query=Page,
        answers={200: LotPage},
        errors=[MemberNotFound],
    )
    def get(self, request: HttpRequest, member: str) -> HttpResponse:
        _, rows, cursor = self.page(request, member, lots_of)
        return json_response({"items": [lot_item(row) for row in rows], "next_cursor": cursor})
