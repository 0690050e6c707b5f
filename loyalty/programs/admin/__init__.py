"""Programs in the admin: edit in tables, published with each save."""

from loyalty.programs.admin import pages as pages
