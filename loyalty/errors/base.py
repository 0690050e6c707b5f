"""What every business error has: a code, a status, a sentence, and whether to try again."""

from typing import Any, ClassVar, Literal

Retry = Literal["never", "same_key", "new_key"]


class LoyaltyError(Exception):
    """Base of all errors that a caller may see.

    Attributes:
        code: Stable name that clients branch on.
        status: HTTP status of the answer.
        title: What is wrong in general, one short sentence.
        retry: Whether trying again can help, and with which idempotency key.
        stored: True for decisions that are kept under the idempotency key and replayed.
        facts: What is wrong here, as JSON values, added to the problem document.
        errors: Where in the request, as `{"pointer": "/order/lines/0", "message": "..."}`.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side; try again with the same key."
    retry: ClassVar[Retry] = "same_key"
    stored: ClassVar[bool] = False
    headers: dict[str, str] = {}

    def __init__(
        self, detail: str = "", *, errors: list[dict[str, str]] | None = None, **facts: Any
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = errors or []
        self.facts = facts


class Internal(LoyaltyError):
    """An unexpected failure; its cause is in the log under the request id."""
