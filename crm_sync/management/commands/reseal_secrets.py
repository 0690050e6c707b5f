"""`manage.py reseal_secrets`: encrypt the secrets of all connections under the newest key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm_sync.adapters.access import SecretMissing
from crm_sync.inbound.left_out import reseal_left_out
from crm_sync.inbound.sources import reseal_sources
from crm_sync.services.credentials import reseal_all


class Command(BaseCommand):
    """Finish a change of CRM_SECRETS_KEYS: afterwards the old key can be taken out."""

    help = "Encrypt all stored secrets anew under the first key of CRM_SECRETS_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        """Encrypt, or say which key is missing."""
        try:
            count = reseal_all() + reseal_sources()
            reseal_left_out()
        except SecretMissing as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{count} connections' secrets are encrypted under the first key.")
