"""Vendors as local servers that keep state: for tests, and for a look at what a CRM would have."""
