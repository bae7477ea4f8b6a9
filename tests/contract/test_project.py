"""What the project promises outside of the code: the README's commands, honest bounds, fragments, no odd files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import omicstl

ROOT = Path(omicstl.__file__).parent.parent
pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="there is no checkout around the package"
)
KINDS = ("feature", "fix", "performance", "docs", "breaking", "maintenance")
PICKLES = {".pkl", ".pickle", ".rds", ".rda", ".joblib", ".pt"}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_readme_has_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert "<!-- ci: demo -->\n```bash\npip install . && python -m omicstl demo\n```" in text
    assert '<!-- ci: test -->\n```bash\npip install -e ".[test]" && pytest\n```' in text


def test_every_requirement_has_a_lower_bound() -> None:
    data = project()
    everything = data["dependencies"] + [r for rows in data["optional-dependencies"].values() for r in rows]
    without = [
        r for r in everything if not re.match(r"[A-Za-z0-9_.-]+(\[[a-z,]+\])?>=\d", r) and not r.startswith("omicstl[")
    ]
    assert not without


def test_fragments_have_a_known_kind() -> None:
    for path in (ROOT / "docs" / "changes").glob("*.md"):
        if path.name != "README.md":
            assert re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(KINDS)})\.md", path.name), path.name


def test_versions_agree() -> None:
    assert f"version: {omicstl.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f"## {omicstl.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_citation_has_an_entry() -> None:
    entries = set(
        re.findall(r"^@\w+\{([^,\s]+),", (ROOT / "omicstl/_core/references.bib").read_text(), flags=re.MULTILINE)
    )
    sources = [*(ROOT / "omicstl").rglob("*.py"), *(ROOT / "docs").glob("guide/*.md"), *(ROOT / "docs").glob("*.md")]
    cited = {
        key.strip()
        for path in sources
        for keys in re.findall(r"(?::cite:[pt]:|\{cite:[pt]\})`([^`]+)`", path.read_text())
        for key in keys.split(",")
    }
    assert not sorted(cited - entries)


def test_no_pickles() -> None:
    folders = ("omicstl", "tests", "docs", "benchmarks", "tutorials")
    found = [
        p for folder in folders for p in (ROOT / folder).rglob("*") if p.suffix in PICKLES and "_build" not in p.parts
    ]
    assert not found
