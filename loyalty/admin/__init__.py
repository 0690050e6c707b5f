"""The admin: pages for marketers and support, one file per subject.

It stands on top of all domains, because a member's page shows what every one of them knows.
Programs have an admin of their own, which needs nothing above them.
"""

from django.contrib import admin

from loyalty.admin import api_keys as api_keys
from loyalty.admin import approvals as approvals
from loyalty.admin import code_pools as code_pools
from loyalty.admin import history as history
from loyalty.admin import members as members
from loyalty.admin import nights as nights
from loyalty.admin import orders as orders
from loyalty.admin import redemptions as redemptions
from loyalty.admin import review as review
from loyalty.admin import segments as segments
from loyalty.admin import staff as staff
from loyalty.admin import versions as versions
from loyalty.programs import admin as programs
from loyalty.trials import admin as trials

__all__ = ["programs", "trials"]

admin.site.site_title = "Loyalty"
admin.site.site_header = "Loyalty"
admin.site.index_title = "Overview"
# Under a name of its own: the theme has an index, and stands before us.
admin.site.index_template = "admin/loyalty/index.html"
