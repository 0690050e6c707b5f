"""Lanes come and go by the thousand: vacuum them soon, and leave room to update rows in place."""

from django.db import migrations

TUNE = """
ALTER TABLE crm_sync_lane SET (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);
ALTER TABLE crm_sync_relay SET (fillfactor = 50);
ALTER TABLE crm_sync_delivery SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
"""

RESET = """
ALTER TABLE crm_sync_delivery RESET (fillfactor, autovacuum_vacuum_scale_factor);
ALTER TABLE crm_sync_relay RESET (fillfactor);
ALTER TABLE crm_sync_lane RESET (
    fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
"""


class Migration(migrations.Migration):
    """Set storage parameters of the tables that are written most."""

    dependencies = [("crm_sync", "0001_create_tables")]

    operations = [migrations.RunSQL(TUNE, RESET)]
