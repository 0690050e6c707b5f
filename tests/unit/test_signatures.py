"""Scenario 49, of what comes in: the example of Standard Webhooks, and clocks that differ."""

from datetime import UTC, datetime, timedelta

import pytest

from crm_sync.inbound.contract import Arrival, SignatureRefused
from crm_sync.inbound.vendors.generic import StandardSource

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
SIGNED_AT = datetime.fromtimestamp(1614265330, UTC)


def verify(
    *, body: bytes = BODY, signature: str = SIGNATURE, ahead: timedelta = timedelta()
) -> None:
    """Take the example in; `ahead` is how much later it is here than at its sender."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": signature,
    }
    arrival = Arrival(method="POST", url="/", headers=headers, body=body)
    StandardSource().verify(arrival, [SECRET], {}, SIGNED_AT + ahead)


def test_the_example_of_the_standard_is_accepted() -> None:
    verify()


def test_one_of_several_signatures_is_enough() -> None:
    verify(signature=f"v1a,{'A' * 86} v1,{'A' * 43}= {SIGNATURE}")


@pytest.mark.parametrize("body", [b'{"test":2432232314}', BODY + b"\n", b""])
def test_a_body_that_was_written_anew_is_not(body: bytes) -> None:
    with pytest.raises(SignatureRefused, match="does not fit"):
        verify(body=body)


@pytest.mark.parametrize("sign", [1, -1])
def test_clocks_may_differ_by_five_minutes_and_no_more(sign: int) -> None:
    verify(ahead=sign * timedelta(minutes=5))
    with pytest.raises(SignatureRefused, match="five minutes"):
        verify(ahead=sign * timedelta(minutes=5, seconds=1))
