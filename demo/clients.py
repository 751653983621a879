"""The clients of the harbour."""

from __future__ import annotations

from typing import Any, Final

CLIENTS: Final[dict[str, dict[str, Any]]] = {
    "tide-tables": {
        "confidential": False,
        "name": "Tide Tables",
        "scope": ["openid", "email", "roles", "offline_access", "tides:read"],
        "redirect_uris": ["https://tides.harbour.example/callback"],
    },
    "berth-planner": {
        "confidential": True,
        "name": "Berth Planner",
        "scope": ["openid", "profile", "offline_access"],
        "redirect_uris": [
            "https://berths.harbour.example/oauth/return",
            "https://berths.staging.harbour.example/oauth/return",
        ],
    },
    "grafana": {
        "confidential": True,
        "name": "Grafana",
        "trusted": True,
        "scope": ["openid", "email", "roles"],
        "redirect_uris": ["https://graphs.harbour.example/login/generic_oauth"],
    },
    "watchword-cli": {
        "confidential": False,
        "scope": ["openid", "offline_access"],
        "redirect_uris": ["http://127.0.0.1/callback"],
    },
    "berth-lights": {
        "confidential": True,
        "name": "Berth lights",
        "scope": ["lights:switch"],
        "grants": ["client_credentials"],
    },
    "harbour-control": {
        "confidential": True,
        "name": "Harbour control",
        "rights": ["introspect", "feed", "admin:read"],
    },
    "harbour-map": {
        "confidential": False,
        "name": "Old harbour map",
        "scope": ["openid"],
        "redirect_uris": ["https://map.harbour.example/"],
    },
}
