"""The public API of CRM sync on one page."""

from django.urls import path

from crm_sync.api import (
    EndpointDeliveriesView,
    EndpointRedeliverView,
    EndpointSecretView,
    EndpointsView,
    EndpointTestView,
    EndpointView,
)
from crm_sync.inbound.api import receive_view

urlpatterns = [
    path("inbound/<uuid:source>", receive_view),
    path("v1/webhook-endpoints", EndpointsView.as_view()),
    path("v1/webhook-endpoints/<str:endpoint>", EndpointView.as_view()),
    path("v1/webhook-endpoints/<str:endpoint>/test", EndpointTestView.as_view()),
    path("v1/webhook-endpoints/<str:endpoint>/rotate-secret", EndpointSecretView.as_view()),
    path("v1/webhook-endpoints/<str:endpoint>/deliveries", EndpointDeliveriesView.as_view()),
    path("v1/webhook-endpoints/<str:endpoint>/redeliver", EndpointRedeliverView.as_view()),
]
