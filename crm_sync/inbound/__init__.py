"""What comes in: signed requests of vendors, kept in an inbox, worked on by Celery."""
