"""The web app: ask several trained models at once, and see where they differ and why."""

from spantune.web.app import create_app

__all__ = ["create_app"]
