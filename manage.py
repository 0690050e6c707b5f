#!/usr/bin/env python3
"""Django's command line; a wrong or missing setting is one sentence, not a traceback."""

import os
import sys

# Commands that only read the code: they run without servers and without secrets.
OFFLINE_COMMANDS = {
    "makemigrations",
    "collectstatic",
    "spectacular",
    "help",
    "--help",
    "--version",
    "version",
}


def main() -> None:
    """Run the command that the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if len(sys.argv) < 2 or sys.argv[1] in OFFLINE_COMMANDS:
        os.environ.setdefault("LOYALTY_OFFLINE", "1")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit(
            "Django is not installed here: run `make setup`, then use .venv/bin/python manage.py."
        )
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
