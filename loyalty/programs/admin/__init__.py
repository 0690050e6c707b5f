"""Programs in the admin: each save edits the draft; `loyalty.admin.review` publishes it."""

from loyalty.programs.admin import pages as pages
