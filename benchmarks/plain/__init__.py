"""Earning and redeeming as most teams write it with Django and DRF: the baseline."""
