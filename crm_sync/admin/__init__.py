"""The pages of CRM sync."""

from crm_sync.admin import connections as connections
from crm_sync.admin import deliveries as deliveries
from crm_sync.admin import differences as differences
from crm_sync.admin import inbox as inbox
from crm_sync.admin import left_out as left_out
from crm_sync.admin import sources as sources
