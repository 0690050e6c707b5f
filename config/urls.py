"""The public API at the root, the admin, and what operations ask for."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from config import metrics

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index")),  # who types the host is a person
    path("", include("crm_sync.urls")),  # before loyalty's, whose last line takes what is left
    path("", include("loyalty.urls")),
    path("admin/", admin.site.urls),
    path("metrics", metrics.export, name="metrics"),
]
# What Django itself refuses is a problem document too, outside the admin.
handler400 = "loyalty.http.failures.bad_request"
handler404 = "loyalty.http.failures.not_found"
handler500 = "loyalty.http.failures.server_error"
