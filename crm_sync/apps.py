"""Django's entry for the app that sends events to CRMs and webhooks."""

from django.apps import AppConfig


class CrmSyncConfig(AppConfig):
    """Register the app; the engine does not know that it exists."""

    name = "crm_sync"
    verbose_name = "CRM sync"
    default_auto_field = "django.db.models.BigAutoField"
