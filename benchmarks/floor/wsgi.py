"""What gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

# Not setdefault: gunicorn's configuration lies in config/, whose import names its own settings.
os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.floor.settings"

application = get_wsgi_application()
