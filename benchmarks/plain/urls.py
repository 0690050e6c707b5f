"""The two calls of the baseline."""

from django.urls import path

from benchmarks.plain.views import EarnView, RedeemView

urlpatterns = [
    path("v1/earn", EarnView.as_view()),
    path("v1/redeem", RedeemView.as_view()),
]
