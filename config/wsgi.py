"""What gunicorn serves: `gunicorn -c config/gunicorn.py config.wsgi`."""

import os

import django

from config.short_way import Handler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["LOYALTY_PROCESS"] = "web"  # settings.py lets web processes keep their connections

django.setup(set_prefix=False)
application = Handler()
