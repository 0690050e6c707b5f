"""Run the grocer's night, and say what memory it took: `python -m benchmarks.engine.night`."""

import os

import django

from benchmarks import machine


def run() -> None:
    """Do in this process what a worker does at night."""
    from django.utils import timezone

    from loyalty.nightly.services import run_night
    from loyalty.programs.expiry import local_day
    from loyalty.programs.selectors import get_program

    program = get_program("grocer")
    run_night(program.pk, today=local_day(timezone.now(), program.timezone))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    run()
    print(machine.peak_bytes())
