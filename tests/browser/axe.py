"""axe-core, which a package of Playwright's brings along: what on a page keeps people out."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest

GRAVE = ("serious", "critical")


@cache
def _script() -> str:
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or not found.submodule_search_locations:
        pytest.skip("axe-playwright-python is not installed (the extra `dev` has it)")
    return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")


def findings(page: Any) -> list[str]:
    """What axe-core finds grave, a line each."""
    page.evaluate(_script())
    violations = page.evaluate("axe.run({ resultTypes: ['violations'] }).then(found => found.violations)")
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
        for one in violations
        if one["impact"] in GRAVE
    ]


def grave_findings(page: Any) -> list[str]:
    """The same for the page as it is, then for a phone's narrow window in dark, where nothing may stick out, either."""
    found, window = findings(page), page.viewport_size
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.set_viewport_size({"width": 390, "height": 844})
    found += [f"dark and narrow: {one}" for one in findings(page)]
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.emulate_media(color_scheme="null", reduced_motion="null")
    page.set_viewport_size(window)
    return found + ([f"{wider} pixels wider than the window"] if wider > 0 else [])
