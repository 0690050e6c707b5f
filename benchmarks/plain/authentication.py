"""Who is asking."""

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from benchmarks.plain.models import ApiKey


class KeyUser:
    """What permissions ask for."""

    is_authenticated = True


class KeyAuthentication(BaseAuthentication):
    """Find the API key in the database."""

    def authenticate(self, request: Request) -> tuple[KeyUser, ApiKey]:
        """Answer 401 to a key that nobody has."""
        key = get_authorization_header(request).decode().removeprefix("Bearer ")
        try:
            return KeyUser(), ApiKey.objects.get(key=key)
        except ApiKey.DoesNotExist:
            raise AuthenticationFailed() from None
