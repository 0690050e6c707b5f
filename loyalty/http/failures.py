"""What Django itself refuses, as the same problem documents: no address, bad host, a crash.

The admin's pages keep Django's own.
"""

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from loyalty.errors import Internal, LoyaltyError, NotFound, RequestRefused
from loyalty.http.views import problem_response, request_id_of


def no_such_address(request: HttpRequest, **_: str) -> HttpResponse:
    """Answer for addresses under /v1 that do not exist, in development too."""
    return _problem(request, NotFound("There is no such address."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Serve as handler404."""
    if _is_page(request):
        return defaults.page_not_found(request, exception)
    return _problem(request, NotFound("There is no such address."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Serve as handler400: a host that is not ours, a request that Django does not trust."""
    if _is_page(request):
        return defaults.bad_request(request, exception)
    return _problem(request, RequestRefused())


def server_error(request: HttpRequest) -> HttpResponse:
    """Serve as handler500; Django has logged the cause."""
    return defaults.server_error(request) if _is_page(request) else _problem(request, Internal())


def _is_page(request: HttpRequest) -> bool:
    return request.path_info.startswith("/admin")


def _problem(request: HttpRequest, error: LoyaltyError) -> HttpResponse:
    return problem_response(error, request_id_of(request))
