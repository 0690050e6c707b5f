"""What crm_sync writes, one file for each thing that it does."""
