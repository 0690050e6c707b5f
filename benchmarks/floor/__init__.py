"""The least that Django can cost: a bare view and one SQL function. No rules, no checks."""
