"""The Content-Security-Policy of every answer, by what the address serves."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# The admin's scripts are files of our own; Alpine, which draws its menus, evaluates expressions.
ADMIN = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'"
)
# The API's explorer: files of our own, styles set by script, icons as data.
DOCS = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
API = "default-src 'none'; frame-ancestors 'none'"


class ContentSecurityPolicy:
    """Adds the policy unless a view has set one of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy_for(request.path_info))
        return response


def policy_for(path: str) -> str:
    """Return the policy of the page at this path."""
    if path.startswith("/admin/"):
        return ADMIN
    if path.startswith("/docs"):
        return DOCS
    return API
