"""What gunicorn serves: `gunicorn -c config/gunicorn.py config.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["LOYALTY_PROCESS"] = "web"  # settings.py lets web processes keep their connections

application = get_wsgi_application()
