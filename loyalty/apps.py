"""Django's entry for the one app that holds every domain of the engine."""

from django.apps import AppConfig


class LoyaltyConfig(AppConfig):
    """Register the app under the label that its tables and migrations carry."""

    name = "loyalty"
    label = "loyalty"
    verbose_name = "Loyalty"
    default_auto_field = "django.db.models.BigAutoField"
