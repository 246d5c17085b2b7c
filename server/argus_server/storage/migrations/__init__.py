"""Alembic's folder: it travels in the wheel, so that an installed server migrates itself."""
