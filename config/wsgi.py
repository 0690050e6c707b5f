"""What gunicorn serves: `gunicorn -c config/gunicorn.py config.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["LOYALTY_PROCESS"] = "web"  # settings.py gives web processes a pool of connections

application = get_wsgi_application()
