"""Programs in the admin: each save edits the draft; `loyalty.admin.review` publishes it."""

from loyalty.programs.admin import campaign_pages as campaign_pages
from loyalty.programs.admin import pages as pages
