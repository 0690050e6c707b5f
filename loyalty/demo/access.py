"""How to get into the demo: an API key and an admin, made once and kept in LOYALTY_HOME."""

import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from django.contrib.auth import get_user_model
from django.db import transaction

from loyalty.http.auth import SCOPES, create_api_key, hash_key, revoke
from loyalty.http.models import ApiKey
from loyalty.programs.models import Program

KEY_NAME = "demo"
ADMIN = "admin"
CHANGED_SINCE = "(as you have set it)"


@dataclass(slots=True)
class Access:
    """What somebody needs to look around.

    Attributes:
        admin_password: As it was made; not what somebody may have set since.
    """

    api_key: str = ""
    admin_user: str = ADMIN
    admin_password: str = ""


def keep_access(program: Program, file: Path) -> Access:
    """Give the demo's access; what is missing, or no longer works, is made and kept in the file.

    An admin whose password is not the kept one has been given one by somebody, and keeps it.
    """
    kept = _read(file)
    with transaction.atomic():  # no admin whose password nobody knows
        access = Access(
            api_key=_working_key(program, kept.api_key),
            admin_password=_working_password(kept.admin_password),
        )
        if access != kept:
            _write(file, access)
    return access


def _working_key(program: Program, plain: str) -> str:
    rows = ApiKey.objects.filter(program=program, name=KEY_NAME, revoked_at__isnull=True)
    for row in rows:
        if plain and hmac.compare_digest(bytes(row.secret_hash), hash_key(plain)):
            return plain
        revoke(row)
    return create_api_key(program_id=program.pk, scopes=SCOPES, name=KEY_NAME)[1]


def _working_password(kept: str) -> str:
    users = get_user_model().objects
    user = users.filter(username=ADMIN).first()
    if user is not None:
        return kept if kept and user.check_password(kept) else CHANGED_SINCE
    password = secrets.token_urlsafe(12)
    users.create_superuser(ADMIN, email="", password=password)
    return password


def _read(file: Path) -> Access:
    try:
        return Access(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return Access()


def _write(file: Path, access: Access) -> None:
    """Write it for our eyes only."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(asdict(access), stream, indent=2)
