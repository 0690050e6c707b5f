"""Every setting once, from the environment; its unit and default stand beside it.

Required without `make run`: DATABASE_URL, REDIS_URL, SECRET_KEY, LOYALTY_PEPPER.
"""

from datetime import timedelta
from typing import Any

from celery.schedules import crontab

from config import admin_site, logs
from config import environment as env

BASE_DIR = env.BASE_DIR
LOYALTY_HOME = env.loyalty_home()  # folder of what `make run` keeps; default .local

# --- Who we are -------------------------------------------------------------------------------

DEBUG = env.switch("DEBUG", default=False)
SECRET_KEY = env.secret("SECRET_KEY")  # signs sessions; ≥ 32 characters
SECRET_KEY_FALLBACKS = env.words(
    "SECRET_KEY_FALLBACKS", default=[]
)  # keys before it, by commas: sessions and webhook secrets made under them stay valid
LOYALTY_PEPPER = env.secret(
    "LOYALTY_PEPPER"
)  # keys the hashes of API keys; ≥ 32; lost = all keys lost
ALLOWED_HOSTS = env.hosts(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"]
)  # host names, by commas
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")  # https://… of the admin, by commas
WEB_PROCESS = env.text("LOYALTY_PROCESS", "") == "web"  # set by config/wsgi.py
WORKER_PROCESS = env.text("LOYALTY_PROCESS", "") == "worker"  # set by config/celery.py

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = True

INSTALLED_APPS = [
    "unfold",  # before django.contrib.admin, whose templates it replaces
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "loyalty",
    "crm_sync",
]

MIDDLEWARE = [
    "config.metrics.Metrics",
    "django.middleware.security.SecurityMiddleware",
    "config.security.ContentSecurityPolicy",
    "config.short_way.ApiFirst",  # what comes now is for pages
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.pages.readable_address",
    "config.pages.live_connection",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],  # before the theme's own
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- Web server (config/gunicorn.py) -------------------------------------------------------------

HOST = env.text("HOST", "127.0.0.1")  # address to listen on; 0.0.0.0 is everywhere
PORT = env.integer("PORT", 8000, low=1, high=65535)
BASE_URL = env.base_url(PORT)  # of the API, for commands that talk to it
WEB_WORKERS = env.integer("WEB_WORKERS", 2, low=1, high=256)  # processes
WEB_THREADS = env.integer("WEB_THREADS", 8, low=1, high=256)  # threads of each
WEB_TIMEOUT = env.integer(
    "WEB_TIMEOUT", 30, low=1, high=3600
)  # seconds until a stuck worker is killed

# --- Database -----------------------------------------------------------------------------------

# Each thread of a web process keeps a connection, which costs a request nothing. Where it may have
# fewer connections than threads, its threads share a pool of them. Those of a worker always do:
# most of them wait for other servers, and hold none meanwhile. Others use one connection.
_WEB_POOL_MAX = env.integer("DB_POOL_MAX", WEB_THREADS, low=1, high=256)  # one each thread
_WEB_POOL = {
    "min_size": env.integer(
        "DB_POOL_MIN", 1, low=0, high=_WEB_POOL_MAX
    ),  # connections kept open, each process
    "max_size": _WEB_POOL_MAX,
    "timeout": env.number(
        "DB_POOL_TIMEOUT", 0.8, low=0.05, high=60
    ),  # seconds to wait for one, then 503
}
_WORKER_POOL = {
    "min_size": 1,
    "max_size": env.integer("WORKER_DB_POOL_MAX", 16, low=2, high=256),  # each process
    "timeout": 10.0,  # seconds; a task that gets none is done again
}
_POOL = _WORKER_POOL if WORKER_PROCESS else _WEB_POOL
_POOLED = WORKER_PROCESS or (WEB_PROCESS and _WEB_POOL["max_size"] < WEB_THREADS)
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **env.database(),
        "ENGINE": "django.db.backends.postgresql",
        "ATOMIC_REQUESTS": False,  # the engine begins and commits by itself
        # seconds; None is for ever, and a pool keeps its own
        "CONN_MAX_AGE": 0 if _POOLED else None if WEB_PROCESS else 60,
        "CONN_HEALTH_CHECKS": not WEB_PROCESS,
        # They live in a session, and PgBouncer gives each transaction to another one.
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
}
DATABASES["default"]["OPTIONS"] = {
    **DATABASES["default"].get(
        "OPTIONS", {}
    ),  # what follows the ? in DATABASE_URL, such as sslmode
    "connect_timeout": env.integer("DB_CONNECT_TIMEOUT", 5, low=1, high=60),  # seconds
    "application_name": env.text(
        "DB_APPLICATION_NAME", "loyalty-web" if WEB_PROCESS else "loyalty"
    ),
    # Executions of a statement until the server keeps its plan. Only loyalty/database binds on the
    # server; the ORM's cursors do not. 0 = never, for PgBouncer before 1.21 in transaction mode.
    "prepare_threshold": env.integer("DB_PREPARE_THRESHOLD", 2, low=0, high=5) or None,
    # A plan is made once and kept. Left to choose, the server plans the statement that locks anew
    # each time, for three look-ups that it could leave out: three times what running it costs.
    "options": "-c lock_timeout=2s -c idle_in_transaction_session_timeout=30s -c TimeZone=UTC"
    " -c plan_cache_mode=force_generic_plan",
    **({"pool": _POOL} if _POOLED else {}),
}

# --- Redis or Valkey: Celery's doorbell and Django's cache; nothing is kept there only ------------

REDIS_URL = env.redis_url()
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
}

# --- Celery -------------------------------------------------------------------------------------

WORKER_THREADS = env.integer("WORKER_THREADS", 256, low=6, high=1024)
WORKER_NICE = env.integer("WORKER_NICE", 5, low=0, high=19)  # lets tills go first
TASK_TIME_LIMIT = env.integer(
    "TASK_TIME_LIMIT", 900, low=10, high=86400
)  # seconds, then a job is killed

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True  # a job whose worker dies is done again
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = TASK_TIME_LIMIT
CELERY_TASK_SOFT_TIME_LIMIT = TASK_TIME_LIMIT * 0.9  # seconds; lets a job commit what it has
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # LOGGING below is for all processes
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # for ever: Redis may be away for hours
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A job that nobody acknowledged comes back after this; longer than any job may run, so that it
    # never runs twice at once. Sweeps look for such jobs each interval × throttle seconds.
    "visibility_timeout": TASK_TIME_LIMIT + 60,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "health_check_interval": 25,
    "queue_order_strategy": "priority",
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "config.timetable:Timetable"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1  # seconds


def _each(task: str, seconds: int) -> dict[str, Any]:
    """Return an entry of the timetable; a turn that was not begun in time is dropped."""
    return {
        "task": task,
        "schedule": timedelta(seconds=seconds),
        "options": {"expire_seconds": max(seconds, 5)},
    }


CELERY_BEAT_SCHEDULE = {
    "relay": _each("crm_sync.relay", 1),
    "sweep": _each("crm_sync.sweep", 5),
    "backfill": _each("crm_sync.backfill", 2),
    "compare": _each("crm_sync.compare", 2),
    "lapse-holds": _each("loyalty.lapse_holds", 60),
    "settle-referrals": _each("loyalty.settle_referrals", 60),
    "raise-signals": _each("loyalty.raise_signals", 60),
    "publish-scheduled": _each("loyalty.publish_scheduled", 10),
    "nightly": _each("loyalty.run_nightly", 900),  # decides itself, by each program's time zone
    "delete-old-keys": {
        "task": "loyalty.delete_old_keys",
        "schedule": crontab(hour="3", minute="20"),
        "options": {"expire_seconds": 3600},
    },
}

# --- CRM sync (docs/crm_sync.md) ------------------------------------------------------------------

# Development only: lets webhooks be http, and lie on this machine or in this network.
CRM_ALLOW_PRIVATE_ADDRESSES = env.switch("CRM_ALLOW_PRIVATE_ADDRESSES", default=False)
CRM_SECRETS_KEYS = env.fernet_keys(
    "CRM_SECRETS_KEYS"
)  # encrypt the keys that CRMs give us: the first one encrypts, all of them decrypt, by commas
CRM_CONNECT_SECONDS = env.number("CRM_CONNECT_SECONDS", 5, low=0.1, high=30)
CRM_LEASE_SECONDS = env.number(
    "CRM_LEASE_SECONDS", 60, low=1, high=600
)  # seconds until a killed worker's lane is served again
CRM_TOTAL_SECONDS = env.number(
    "CRM_TOTAL_SECONDS",
    min(15, CRM_LEASE_SECONDS / 2),
    low=0.2,
    high=CRM_LEASE_SECONDS * 0.8,  # or the lease would run out in the middle of a call
)  # seconds for a whole call, from resolving the name to the last byte
CRM_LANES_PER_CONNECTION = env.integer(
    "CRM_LANES_PER_CONNECTION", 4, low=1, high=64
)  # members served at once, and so the threads that one hanging destination can hold; unless
# the connection says otherwise
CRM_DELIVERIES_PER_SECOND = env.integer(
    "CRM_DELIVERIES_PER_SECOND", 120, low=0, high=10_000
)  # of one worker, to all connections together, so that backlogs take little from tills; 0 = none
CRM_BREAKER_FAILURES = env.integer(
    "CRM_BREAKER_FAILURES", 3, low=1, high=100
)  # failures in a row until only one lane at a time is tried
CRM_DISABLE_AFTER_HOURS = env.number(
    "CRM_DISABLE_AFTER_HOURS", 120, low=1, high=8760
)  # hours without a success until a failing connection is disabled
CRM_JOB_HOURS = env.number(
    "CRM_JOB_HOURS", 48, low=1, high=720
)  # hours for which a CRM is asked about a bulk job; then its profiles are sent one by one
CRM_SECRET_OVERLAP_HOURS = env.number(
    "CRM_SECRET_OVERLAP_HOURS", 24, low=0, high=720
)  # hours for which the signing secret before a rotation stays valid
CRM_DELIVERY_RETENTION_DAYS = env.integer(
    "CRM_DELIVERY_RETENTION_DAYS", 30, low=0, high=3650
)  # days that delivered deliveries are kept; 0 = for ever
LOYALTY_EVENT_RETENTION_DAYS = env.integer(
    "LOYALTY_EVENT_RETENTION_DAYS", 400, low=0, high=3650
)  # days that events stay in the feed; 0 = for ever
CRM_INBOX_BODY_KB = env.integer(
    "CRM_INBOX_BODY_KB", 1024, low=16, high=4096
)  # of one request that a vendor sends
CRM_INBOX_RETENTION_DAYS = env.integer(
    "CRM_INBOX_RETENTION_DAYS", 30, low=3, high=3650
)  # days for which a message that comes again is recognised; longer than any vendor repeats
CRM_POLL_SECONDS = env.integer(
    "CRM_POLL_SECONDS", 300, low=30, high=86400
)  # between two questions to a vendor what has changed there
CELERY_BEAT_SCHEDULE["poll"] = _each("crm_sync.poll", 30)
CRM_SEGMENT_SECONDS = env.integer(
    "CRM_SEGMENT_SECONDS", 3600, low=60, high=604800
)  # between two walks through a segment of a vendor's that fills one of ours
CELERY_BEAT_SCHEDULE["poll-segments"] = _each("crm_sync.poll_segments", 30)
CELERY_BEAT_SCHEDULE["reconcile"] = _each("crm_sync.reconcile", 30)
CELERY_BEAT_SCHEDULE["inbox"] = _each("crm_sync.inbox", 1)
CELERY_BEAT_SCHEDULE["delete-old-deliveries"] = {
    "task": "crm_sync.prune",
    "schedule": crontab(hour="3", minute="40"),
    "options": {"expire_seconds": 3600},
}

CELERY_BEAT_SCHEDULE["compare-all"] = {
    "task": "crm_sync.compare_all",
    "schedule": crontab(hour="4", minute="10"),
    "options": {"expire_seconds": 3600},
}

# --- HTTP API -----------------------------------------------------------------------------------

DATA_UPLOAD_MAX_MEMORY_SIZE = (
    4 * 1024 * 1024
)  # bytes of a body: a batch; others are 256 kB (loyalty/http)
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "loyalty.http.schema.ScopedSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Loyalty engine",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Security -----------------------------------------------------------------------------------

HTTPS = env.switch("HTTPS", default=not DEBUG)  # off only for a demo on one machine
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]  # asked from inside, without TLS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0  # a year
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = env.integer("SESSION_HOURS", 12, low=1, high=24 * 14) * 3600  # seconds
SECURE_REFERRER_POLICY = "same-origin"
SILENCED_SYSTEM_CHECKS = [
    "security.W002",  # X-Frame-Options: config/security.py says it as frame-ancestors
    "security.W005",  # whether all subdomains have TLS is the owner's to say, in their proxy
    "security.W021",
]
if env.switch("TRUST_PROXY", default=False):  # on behind a proxy that sets X-Forwarded-Proto itself
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]

# --- Words, times, static files -------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"  # programs have zones of their own
USE_TZ = True
FORMAT_MODULE_PATH = "config.formats"
STATIC_URL = "static/"
STATIC_ROOT = env.text("STATIC_ROOT", "") or None  # folder; only where collectstatic is run
WHITENOISE_USE_FINDERS = True  # serves from the packages: nothing has to be collected
WHITENOISE_MAX_AGE = 3600  # seconds
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
UNFOLD = admin_site.UNFOLD  # how the admin looks: config/admin_site.py

# --- Logs ---------------------------------------------------------------------------------------

LOGGING = logs.configure(
    style=env.choice("LOG_FORMAT", "plain" if DEBUG else "json", ("json", "plain", "colour")),
    level=env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
)
