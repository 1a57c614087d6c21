"""What the papers point at exists, and the picture of the folders is true."""

import itertools
import re
from pathlib import Path

import grimp
import pytest

import hpsearch

ROOT = Path(__file__).parents[1]
PAPERS = sorted(
    path
    for folder in (".", "docs", "tests/gpu", "tests/benchmarks", "studies")
    for path in (ROOT / folder).glob("**/*.md" if folder == "studies" else "*.md")
)
ARCHITECTURE = ROOT / "docs" / "architecture.md"


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_somewhere(paper):
    text = re.sub(r"```.*?```", "", paper.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    files = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in files if not (paper.parent / link).exists()] == []


def test_the_architecture_names_every_folder():
    text = ARCHITECTURE.read_text()
    package = Path(hpsearch.__file__).parent
    folders = {
        path.parent.relative_to(package).as_posix()
        for pattern in ("*/__init__.py", "*/*/__init__.py")
        for path in package.glob(pattern)
    }
    inside = ("trainers/text/", "trainers/tabular/", "trainers/collab/")
    named = {one for one in folders if not one.startswith(inside)}
    assert {one for one in named if f"[{one}](" not in text} == set()


def drawn():
    """folder -> the folders below it, as the arrows of the picture lead there."""
    arrows = re.findall(r"^ +(\w+) --> (.+)$", ARCHITECTURE.read_text(), flags=re.MULTILINE)
    below = {start: set(ends.split(" & ")) for start, ends in arrows}
    for _ in below:
        for ends in below.values():
            ends |= set(itertools.chain.from_iterable(below.get(end, ()) for end in ends))
    return below


def test_an_import_follows_the_arrows_of_the_picture():
    graph = grimp.build_graph("hpsearch", exclude_type_checking_imports=True, cache_dir=None)
    below = drawn()
    strange = set()
    for name in graph.modules - {"hpsearch.__main__"}:
        for other in graph.find_modules_directly_imported_by(name):
            start, end = (f"{one}.hpsearch".split(".")[1] for one in (name, other))
            if start != end and end not in below.get(start, ()):
                strange.add((name, other))
    assert strange == set()
