"""Trials in the admin: a preview of one basket, and backtests with their charts."""

from loyalty.trials.admin import pages as pages
