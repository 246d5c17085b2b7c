"""Every route that shows a page, its data or its exports."""

from __future__ import annotations

from argus_server.pages.badge import BADGE_ROUTES
from argus_server.pages.batches import BATCH_ROUTES
from argus_server.pages.check import CHECK_ROUTES
from argus_server.pages.compare import COMPARE_ROUTES
from argus_server.pages.doctor import DOCTOR_ROUTES
from argus_server.pages.job import JOB_ROUTES
from argus_server.pages.job_exports import JOB_EXPORT_ROUTES
from argus_server.pages.jobs import JOBS_ROUTES
from argus_server.pages.leaderboard import LEADERBOARD_ROUTES
from argus_server.pages.matrix import MATRIX_ROUTES
from argus_server.pages.outlook import OUTLOOK_ROUTES
from argus_server.pages.pairs import PAIRS_ROUTES
from argus_server.pages.pareto import PARETO_ROUTES
from argus_server.pages.projects import PROJECT_ROUTES
from argus_server.pages.saved_views import SAVED_VIEW_ROUTES
from argus_server.pages.sensitivity import SENSITIVITY_ROUTES
from argus_server.pages.settings import SETTINGS_ROUTES
from argus_server.pages.why import WHY_ROUTES

__all__ = ["PAGE_ROUTES"]

PAGE_ROUTES = [
    *PROJECT_ROUTES,
    *SENSITIVITY_ROUTES,
    *PARETO_ROUTES,
    *PAIRS_ROUTES,
    *LEADERBOARD_ROUTES,
    *MATRIX_ROUTES,
    *JOBS_ROUTES,
    *JOB_ROUTES,
    *JOB_EXPORT_ROUTES,
    *COMPARE_ROUTES,
    *BATCH_ROUTES,
    *WHY_ROUTES,
    *CHECK_ROUTES,
    *DOCTOR_ROUTES,
    *OUTLOOK_ROUTES,
    *SAVED_VIEW_ROUTES,
    *BADGE_ROUTES,
    *SETTINGS_ROUTES,
]
