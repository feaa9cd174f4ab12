"""axe-core, the accessibility checker, fetched once through npm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

VERSION = "4.14.1"
CACHE = Path(__file__).resolve().parent.parent / ".pytest_cache" / f"axe-{VERSION}"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def axe_source() -> str:
    """The script; the test is skipped where npm is missing or cannot fetch it."""
    script = CACHE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("axe-core comes through npm, which is not installed here")
        command = [npm, "install", "--prefix", str(CACHE), "--no-save", "--ignore-scripts", f"axe-core@{VERSION}"]
        fetched = subprocess.run(command, capture_output=True, text=True, check=False)
        if fetched.returncode:
            pytest.skip(f"npm cannot fetch axe-core@{VERSION}: {fetched.stderr.strip()[-200:]}")
    return script.read_text()


def violations(page: Any) -> list[str]:
    """What axe finds wrong on a page: rule, help and the elements, a line each."""
    page.evaluate(axe_source())  # through the debugger: the page's own policy forbids foreign scripts
    found = page.evaluate("(tags) => axe.run(document, {runOnly: tags})", RULES)["violations"]
    return [f"{rule['id']}: {rule['help']}: {[node['target'] for node in rule['nodes']][:5]}" for rule in found]
