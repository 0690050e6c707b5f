"""The engine as it is served: its own settings, its own gunicorn."""
