"""The demo: a grocer's program, and real receipts that are sent through its tills over HTTP."""
