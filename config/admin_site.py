"""How the admin looks, and where its parts are found."""

from typing import Any

from django.templatetags.static import static

# Names, sidebar and dashboard are functions of loyalty.admin, found by their path.
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Loyalty",
    "SITE_HEADER": "Loyalty",
    "SITE_SUBHEADER": "Points, tiers and rewards",
    "SITE_SYMBOL": "loyalty",
    "SITE_URL": None,
    "SHOW_BACK_BUTTON": True,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "STYLES": [lambda request: static("loyalty/admin.css")],
    "SCRIPTS": [
        lambda request: static("loyalty/admin.js"),
        lambda request: static("loyalty/conditions.js"),
        lambda request: static("loyalty/rules.js"),
    ],
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("loyalty/favicon.svg"),
        }
    ],
    "DASHBOARD_CALLBACK": "loyalty.admin.dashboard.fill",
    "GLOBAL_CALLBACK": "loyalty.admin.sidebar.place",
    "SIDEBAR": {"navigation": "loyalty.admin.sidebar.navigation"},
    "COLORS": {
        "primary": {
            "50": "oklch(96.2% .018 272.314)",
            "100": "oklch(93% .034 272.788)",
            "200": "oklch(87% .065 274.039)",
            "300": "oklch(78.5% .115 274.713)",
            "400": "oklch(67.3% .182 276.935)",
            "500": "oklch(58.5% .233 277.117)",
            "600": "oklch(51.1% .262 276.966)",
            "700": "oklch(45.7% .24 277.023)",
            "800": "oklch(39.8% .195 277.366)",
            "900": "oklch(35.9% .144 278.697)",
            "950": "oklch(25.7% .09 281.288)",
        },
    },
}
