"""Every business error: its code, its HTTP status, and a sentence that helps.

Domains raise these; only `loyalty.http.problems` turns them into an answer. The code is the
contract: clients branch on it, `docs/errors.md` has a heading for it, and a test proves both.
"""

from loyalty.errors.base import Internal as Internal
from loyalty.errors.base import LoyaltyError as LoyaltyError
from loyalty.errors.base import Retry as Retry

# 400: the request cannot be read at all.


class MalformedJson(LoyaltyError):
    code, status, retry = "malformed_json", 400, "never"
    title = "The body is not valid JSON."


class IdempotencyKeyMissing(LoyaltyError):
    code, status, retry = "idempotency_key_missing", 400, "never"
    title = "Send an Idempotency-Key header, and store the key before you send the request."


class IdempotencyKeyInvalid(LoyaltyError):
    code, status, retry = "idempotency_key_invalid", 400, "never"
    title = "An Idempotency-Key is 1 to 255 visible ASCII characters; a UUID is a good one."


class RequestRefused(LoyaltyError):
    code, status, retry = "request_refused", 400, "never"
    title = "This server does not take such a request; is the host name one of ALLOWED_HOSTS?"


class CursorInvalid(LoyaltyError):
    code, status, retry = "cursor_invalid", 400, "never"
    title = "This cursor is not one of ours; start again without it."


# 401 and 403: who is asking.


class Unauthenticated(LoyaltyError):
    code, status, retry = "unauthenticated", 401, "never"
    title = "Send a valid API key as 'Authorization: Bearer <key>'."
    headers = {"WWW-Authenticate": 'Bearer realm="loyalty"'}


class SignatureInvalid(LoyaltyError):
    code, status, retry = "signature_invalid", 401, "never"
    title = "The request is not signed with this source's secret, or was not signed just now."


class ScopeMissing(LoyaltyError):
    code, status, retry = "scope_missing", 403, "never"
    title = "This API key lacks the scope that this call needs."


class StoreNotAllowed(LoyaltyError):
    code, status, retry = "store_not_allowed", 403, "never"
    title = "This API key may not act for that store."


# 404, 405, 411, 413, 415: what is asked for.


class NotFound(LoyaltyError):
    code, status, retry = "not_found", 404, "same_key"
    title = "There is nothing here that this API key may see."


class MemberNotFound(NotFound):
    code = "member_not_found"
    title = "No member of this program has that id or identifier."


class RewardNotFound(NotFound):
    code = "reward_not_found"
    title = "This program has no reward with that code."


class RedemptionNotFound(NotFound):
    code = "redemption_not_found"
    title = "This program has no redemption with that id."


class TransactionNotFound(NotFound):
    code = "transaction_not_found"
    title = "This program has no ledger transaction with that id."


class SegmentNotFound(NotFound):
    code = "segment_not_found"
    title = "This program has no segment with that code; make it first."


class OrderNotFound(NotFound):
    code = "order_not_found"
    title = "No order with that ref is known yet; send the order first, then its return."


class MemberErased(LoyaltyError):
    code, status, retry, stored = "member_erased", 410, "never", True
    title = "This was answered about a member who was erased since; the answer is gone."


class EndpointNotFound(NotFound):
    code = "endpoint_not_found"
    title = "This program has no webhook endpoint with that id."


class MethodNotAllowed(LoyaltyError):
    code, status, retry = "method_not_allowed", 405, "never"
    title = "This address does not answer to that method."


class LengthRequired(LoyaltyError):
    code, status, retry = "length_required", 411, "never"
    title = "Send the body with a Content-Length, not in chunks."


class PayloadTooLarge(LoyaltyError):
    code, status, retry = "payload_too_large", 413, "never"
    title = "The body is larger than this call accepts: 256 kB, or 4 MB for a batch."


class UnsupportedMediaType(LoyaltyError):
    code, status, retry = "unsupported_media_type", 415, "never"
    title = "Send 'Content-Type: application/json', not compressed."


# 409: the request is fine, the state is not. These are decisions: stored and replayed.


class Conflict(LoyaltyError):
    """Base of refusals that depend on the state; a new key is needed to try again."""

    status, retry, stored = 409, "new_key", True


class RequestInProgress(LoyaltyError):
    code, status, retry = "request_in_progress", 409, "same_key"
    title = "The first request with this key is still running; ask again in a second."
    headers = {"Retry-After": "1"}


class InsufficientPoints(Conflict):
    code = "insufficient_points"
    title = "The member has too few available points."


class RewardSoldOut(Conflict):
    code = "reward_sold_out"
    title = "The last one of this reward is gone."


class RewardLimitReached(Conflict):
    code = "reward_limit_reached"
    title = "The member has had this reward as often as it may be had for now."


class RewardNotAvailable(Conflict):
    code = "reward_not_available"
    title = "This reward is not offered to this member now."


class HoldNotOpen(Conflict):
    code = "hold_not_open"
    title = "This hold was already captured or voided."


class HoldExpired(Conflict):
    code = "hold_expired"
    title = "This hold lapsed before it was captured; its points are available again."


class AlreadyReversed(Conflict):
    code = "already_reversed"
    title = "This redemption was already reversed."


class ReversalExceedsOriginal(Conflict):
    code = "reversal_exceeds_original"
    title = "More would be given back or taken back than there was."


class FulfilmentConflict(Conflict):
    code = "fulfilment_conflict"
    title = "What was redeemed cannot go into this state of fulfilment from where it is."


class OrderConflict(Conflict):
    code = "order_conflict"
    title = "An order with this ref and other content is already recorded."


class ActivityConflict(Conflict):
    code = "activity_conflict"
    title = "This activity with this ref and other content is already recorded."


class RedemptionConflict(Conflict):
    code = "redemption_conflict"
    title = "A redemption with this ref and other content is already recorded."


class ReturnConflict(Conflict):
    code = "return_conflict"
    title = "A return with this ref and other content is already recorded."


class OrderCancelled(Conflict):
    code = "order_cancelled"
    title = "This order was cancelled; nothing of it can be returned."


class SegmentInUse(Conflict):
    code = "segment_in_use"
    title = "The program names this segment; take it out there and publish that first."


class CodeTaken(Conflict):
    code = "code_taken"
    title = "This program has one with this code."


class IdentifierTaken(Conflict):
    code = "identifier_taken"
    title = "Another member of this program has this identifier."


class SelfReferral(Conflict):
    code = "self_referral"
    title = "The referral code belongs to somebody with the same email or phone."


class EndpointNameTaken(Conflict):
    code = "endpoint_name_taken"
    title = "Another connection of this program has this name."


class MemberFrozen(Conflict):
    code = "member_frozen"
    title = "This member is frozen: they earn, and cannot redeem."


class MemberNotActive(Conflict):
    code = "member_not_active"
    title = "This member's account is closed."


class SameMember(Conflict):
    code = "same_member"
    title = "Both names lead to the same member; perhaps they were merged before."


class MemberHasHolds(Conflict):
    code = "member_has_holds"
    title = "Points are held; capture or void the holds first, or wait until they lapse."


class NotMerged(Conflict):
    code = "not_merged"
    title = "This member was not merged into another one."


class MergeNotReversible(Conflict):
    code = "merge_not_reversible"
    title = "This merge is more than 30 days old, or the survivor has changed too much."


class TierIsEarned(Conflict):
    code = "tier_is_earned"
    title = "The member has earned a higher level; a level is assigned above what is earned."


class TierNotAssigned(Conflict):
    code = "tier_not_assigned"
    title = "The member's level was not assigned, so there is none to take back."


class ApprovalRequired(Conflict):
    code = "approval_required"
    title = "So many points need a second person: ask for the adjustment in the admin."


class OwnRequest(Conflict):
    code = "own_request"
    title = "Nobody approves an adjustment that they asked for themselves."


class RequestDecided(Conflict):
    code = "request_decided"
    title = "This request was already approved or declined."


class BalanceTooLarge(Conflict):
    code = "balance_too_large"
    title = "The balance would pass the largest number of points that a member can hold."


# 412: it was meant for something that is no more.


class DraftChanged(LoyaltyError):
    code, status, retry, stored = "draft_changed", 412, "new_key", True
    title = "Somebody has changed this since you read it; read it again."


# 422: the request can be read, and cannot be meant.


class ValidationFailed(LoyaltyError):
    code, status, retry = "validation_failed", 422, "never"
    title = "Some fields are missing, unknown or out of range; see errors."


class IdempotencyKeyReused(LoyaltyError):
    code, status, retry = "idempotency_key_reused", 422, "new_key"
    title = "This Idempotency-Key was used for another request; use a new one."


class OccurredAtOutOfRange(LoyaltyError):
    code, status, retry, stored = "occurred_at_out_of_range", 422, "new_key", True
    title = "occurred_at lies too far back, or more than 5 minutes ahead."


class StoreUnknown(LoyaltyError):
    code, status, retry, stored = "store_unknown", 422, "new_key", True
    title = "This program has no store with that code."


class ActivityUnknown(LoyaltyError):
    code, status, retry, stored = "activity_unknown", 422, "new_key", True
    title = "No earning rule of this program names this activity."


class ReferralCodeUnknown(LoyaltyError):
    code, status, retry, stored = "referral_code_unknown", 422, "new_key", True
    title = "No member of this program has that referral code."


class CurrencyMismatch(LoyaltyError):
    code, status, retry, stored = "currency_mismatch", 422, "new_key", True
    title = "The order's currency is not the program's."


class LineUnknown(LoyaltyError):
    code, status, retry, stored = "line_unknown", 422, "new_key", True
    title = "The order has no line with that id."


class PaymentNotAllowed(LoyaltyError):
    code, status, retry, stored = "payment_not_allowed", 422, "new_key", True
    title = "The program does not let members pay with so many points here."


class CaptureExceedsHold(LoyaltyError):
    code, status, retry, stored = "capture_exceeds_hold", 422, "new_key", True
    title = "More points would be captured than are held."


class RewardNotDivisible(LoyaltyError):
    code, status, retry, stored = "reward_not_divisible", 422, "new_key", True
    title = "A reward is captured as a whole or not at all; only points that pay are divided."


# 429, 5xx: not now.


class RateLimited(LoyaltyError):
    code, status, retry = "rate_limited", 429, "same_key"
    title = "This API key has sent too many requests; wait as long as Retry-After says."
    headers = {"Retry-After": "1"}


class Overloaded(LoyaltyError):
    code, status, retry = "overloaded", 503, "same_key"
    title = "All connections are busy; try again with the same key."
    headers = {"Retry-After": "1"}


class DatabaseUnavailable(LoyaltyError):
    code, status, retry = "database_unavailable", 503, "same_key"
    title = "The database does not answer; try again with the same key."
    headers = {"Retry-After": "2"}


def all_errors() -> list[type[LoyaltyError]]:
    """List every concrete error, for the catalogue, the contract and the tests."""
    found: list[type[LoyaltyError]] = [LoyaltyError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return [
        cls for cls in found if cls is Internal or ("code" in vars(cls) and cls is not LoyaltyError)
    ]
