"""Logging in at Salesforce: by client credentials, or by an assertion that a private key signs."""

import base64
import re
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from crm_sync.adapters.client import Answer, CallFailed, classify
from crm_sync.adapters.outcomes import Configuration, Outcome, Retryable

JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_SECONDS = 180
_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----(.*)-----END \1-----", re.DOTALL)


def login_form(config: Mapping[str, Any], secret: str) -> bytes:
    """Write the request for a token; with a user name it is a signed assertion.

    Raises:
        CallFailed: The private key is none.
    """
    if not config.get("username"):
        form = {
            "grant_type": "client_credentials",
            "client_id": config["client_id"],
            "client_secret": secret,
        }
        return urlencode(form).encode()
    claims = {
        "iss": config["client_id"],
        "sub": config["username"],
        "aud": config["audience"],
        "exp": int(time.time()) + _ASSERTION_SECONDS,
    }
    return urlencode({"grant_type": JWT_BEARER, "assertion": _signed(claims, secret)}).encode()


def refused_login(answer: Answer) -> Outcome:
    """Say why there is no token."""
    try:
        found = answer.json()
    except CallFailed:
        found = {}
    said = str(found.get("error_description") or "") if isinstance(found, dict) else ""
    if said == "retry your request":
        return Retryable(status_code=answer.status, answer=answer.text, error=f"Log-in: {said}.")
    if answer.status == 400:
        error = f"Salesforce refuses the log-in: {said or 'it does not say why'}."
        return Configuration(status_code=400, answer=answer.text, error=error)
    return classify(answer, said=f"log-in: {said}")


def _signed(claims: Mapping[str, Any], pem: str) -> str:
    text = f"{_encoded(orjson.dumps({'alg': 'RS256'}))}.{_encoded(orjson.dumps(claims))}"
    signature = _private_key(pem).sign(text.encode(), PKCS1v15(), SHA256())
    return f"{text}.{_encoded(signature)}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _private_key(pem: str) -> RSAPrivateKey:
    """Read a key also where a one-line field of a form took its line breaks."""
    found = _PEM.search(pem)
    try:
        if found is not None:
            body = re.sub(r"\s|\\n", "", found[2])
            lines = "\n".join(body[n : n + 64] for n in range(0, len(body), 64))
            written = f"-----BEGIN {found[1]}-----\n{lines}\n-----END {found[1]}-----\n"
            key = load_pem_private_key(written.encode(), None)
            if isinstance(key, RSAPrivateKey):
                return key
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass
    error = "With a user name, the secret is an RSA private key without a passphrase, in PEM."
    raise CallFailed(Configuration(error=error))
