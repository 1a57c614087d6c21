"""The pages of the evidence, from the recorded trials alone: `make evidence`.

It recomputes every explanation, table, sentence and picture, and fails if a file on the disk
differs; `make evidence WRITE=1` writes the files instead. No figure in them is typed. With
--reports FOLDER it writes the HTML report of each study there, and nothing else; megabytes each,
they belong to the site that `make docs` builds and not to the source.
"""

from __future__ import annotations

import difflib
import json
import re
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import evidence_decay
import evidence_pages
import evidence_search

import hpsearch
from hpsearch.exchange.recorded import in_memory
from hpsearch.exchange.together import all_recorded
from hpsearch.study.spec import load_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hpsearch.analysis import Explanation
    from hpsearch.exchange.recorded import Recording

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "evidence"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
CLOSE = 1e-3
"""By how much numbers may differ in files that hold them in full, and in pictures: processors add
in another order. On pages, which round, none may differ."""
MARKS = "<!-- made by make evidence: {} -->", "<!-- end of {} -->"


@dataclass(frozen=True)
class Study:
    """A recorded study and what its trials say."""

    recording: Recording

    @property
    def name(self) -> str:
        """What it is called on pages: two recordings of one study are on different data."""
        folder, preset = self.recording.folder.name, self.recording.attrs["hps_preset"]
        return self.recording.study + folder.removeprefix(preset)

    @property
    def trainer(self) -> str:
        return load_spec(self.recording.declared).trainer

    @property
    def title(self) -> str:
        return load_spec(self.recording.declared).title

    @cached_property
    def explanation(self) -> Explanation:
        return hpsearch.explain(self.study())

    def study(self, **only):
        """The study in memory, of the trials with these values of parameters only."""
        trials = [
            one
            for one in self.recording.trials()
            if one.state.is_finished() and all(one.params[k] == v for k, v in only.items())
        ]
        named = "".join(f", {key} {value}" for key, value in only.items())
        return in_memory(self.name + named, self.recording, trials)


def made(studies: Sequence[Study]) -> Iterator[tuple[Path, str]]:
    """(file, its whole content) of all that is made from the recorded trials."""
    for study in studies:
        folder = study.recording.folder
        yield folder / "explanation.json", study.explanation.to_json() + "\n"
        yield folder / "explanation.md", study.explanation.to_markdown()
        yield PAGES / f"{study.name}.md", evidence_pages.study_page(study)
    searched = evidence_search.search_files(studies)
    yield PAGES / "index.md", evidence_pages.index_page(studies, searched=bool(searched))
    decay = [one for one in studies if "lr_decay" in one.explanation.frame.drawn]
    for name, content in evidence_decay.decay_files(decay).items():
        yield PAGES / name, content
    for name, content in searched.items():
        yield PAGES / name, content
    readme = ROOT / "README.md"
    rules = evidence_pages.rules_of_thumb(studies)
    yield readme, between(readme.read_text("utf-8"), "rules of thumb", rules)
    site = ROOT / "mkdocs.yml"
    names = ["index", "decay", *(["search"] if searched else []), "plan"]
    names += [one.name for one in studies]
    nav = "\n".join(f"      - evidence/{name}.md" for name in names)
    yield site, between(site.read_text("utf-8"), "pages", nav, ("      # {}", "      # end of {}"))


def between(text: str, what: str, content: str, marks: tuple[str, str] = MARKS) -> str:
    """The text with `content` between the two marks."""
    first, last = (mark.format(what) for mark in marks)
    before, _, rest = text.partition(first)
    _, _, after = rest.partition(last)
    if not after:
        raise SystemExit(f"There are no marks {first!r} and {last!r} to write between.")
    return f"{before}{first}\n{content.rstrip()}\n{last}{after}"


def differences(path: Path, new: str) -> list[str]:
    """What differs between a file and what it should hold."""
    if not path.is_file():
        return ["it is missing"]
    old = path.read_text("utf-8")
    if path.suffix in (".json", ".svg"):
        if path.suffix == ".json":
            old, new = (
                json.dumps(without_versions(json.loads(one)), indent=1) for one in (old, new)
            )
        if NUMBER.sub("#", old) == NUMBER.sub("#", new):
            pairs = zip(NUMBER.findall(old), NUMBER.findall(new), strict=True)
            if all(is_close(float(one), float(other)) for one, other in pairs):
                return []
    found = difflib.unified_diff(old.splitlines(), new.splitlines(), "on disk", "made", n=0)
    return [line[:160] for line in found][2:12]


def is_close(one: float, other: float) -> bool:
    return abs(one - other) <= CLOSE * max(1.0, abs(one))


def without_versions(content):
    """The content of a JSON file without what names versions of packages."""
    if isinstance(content, dict):
        return {k: without_versions(v) for k, v in content.items() if k != "versions"}
    return [without_versions(one) for one in content] if isinstance(content, list) else content


def stale(files: Mapping[Path, str]) -> list[Path]:
    """Files that were made once and belong to no recorded study any more."""
    kept = set(files)
    pages = [*PAGES.glob("*.md"), *PAGES.glob("*.svg")]
    return [one for one in pages if one not in kept and one.name != "plan.md"]


def main(*, write: bool) -> int:
    begun, wrong = time.monotonic(), 0
    studies = [Study(one) for one in all_recorded()]
    files = dict(made(studies))
    for path, content in files.items():
        shown = path.relative_to(ROOT)
        if write:
            path.write_text(content, "utf-8")
        elif found := differences(path, content):
            wrong += 1
            print(f"{shown} differs from what the recorded trials say:", *found, sep="\n  ")
    for path in stale(files):
        if write:
            path.unlink()
        else:
            wrong += 1
            print(f"{path.relative_to(ROOT)} belongs to no recorded study.")
    what = "wrote" if write else "checked"
    print(f"{what} {len(files)} files of {len(studies)} recorded studies, "
          f"{time.monotonic() - begun:.0f} s")  # fmt: skip
    if wrong:
        print(f"{wrong} files differ: make evidence WRITE=1 writes them anew.")
    return 1 if wrong else 0


def write_reports(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for study in map(Study, all_recorded()):
        html = study.explanation.to_html()
        (folder / evidence_pages.report_name(study)).write_text(html, "utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--reports"]:
        write_reports(Path(sys.argv[2]))
    else:
        sys.exit(main(write="--write" in sys.argv))
