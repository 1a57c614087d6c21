"""`make gpu-bundle`: what a machine with a GPU, but without a network, needs to run this.

    python tests/gpu/bundle.py

Writes .gpu/bundle.tar.xz, at most 20 MB: our package with its studies, tests/gpu, and everything
else but torch, numpy, scipy, pandas, scikit-learn and pyarrow for Python 3.12 on Linux (x86-64):
no dashboard and no plots. Unpacked in a folder it is a small checkout whose `.gpu/site` goes on the
path; tests/gpu/run.py sees to that. README.md says how to use it.

What nobody runs there is left out: tests, types, symbols of compiled files.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from gpu import report
from gpu.parts import ROOT
from gpu.run import BROUGHT, revision

LIMIT = 20_000_000
PRESET = 9
"""Of xz: the smallest, in a minute."""
PYTHON = "3.12"
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17, 12, 5)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
PINNED = """
    alembic annotated-doc annotated-types blis catalogue certifi charset-normalizer click
    anyio cloudpathlib cloudpickle cmaes colorlog confection cymem filelock h11 httpcore httpx idna
    iniconfig Jinja2 joblib
    Mako markdown-it-py MarkupSafe mdurl murmurhash optuna packaging platformdirs pluggy pooch
    preshed psutil pydantic pydantic_core Pygments pytest pytest-timeout PyYAML requests rich
    safetensors shellingham smart_open spacy spacy-legacy spacy-loggers SQLAlchemy srsly thinc
    threadpoolctl tqdm typer typing-inspection typing_extensions urllib3 wasabi weasel wrapt
"""
"""In the versions of constraints.txt."""
PEERS = (
    "fastai==2.8.12", "fastcore==2.2.41", "fastprogress==1.1.6", "fastdownload==0.0.8",
    "fasttransform==0.0.5", "plum-dispatch==2.9.0", "beartype==0.23.1",
)  # fmt: skip
"""fastai with those of its needs that stubs.py has no stand-in for."""
CHECKOUT = (
    "Makefile", "pyproject.toml", "hpsearch/**/*", "studies/*/study.toml", "tests/gpu/*",
    "tests/tiny_corpus.py", "tests/benchmarks/fastai_peer.py",
    "tests/benchmarks/bench_study_speed.py", "tests/benchmarks/GPU.*",
)  # fmt: skip
LEFT_OUT = re.compile(
    r"(^|/)(tests?|__pycache__|docs?|examples?|include|licenses)/"
    r"|\.(pyi|pyx|pxd|h|hpp|cpp|c|md|ipynb|exe|typed)$|\.data/|/RECORD$"
    r"|^(sqlalchemy|alembic)/testing/|^sqlalchemy/dialects/(mssql|oracle)/|^sqlalchemy/.*\.so$"
    r"|^blis/py\.cpython|^pygments/lexers/(?!(__init__|_mapping|python|special|sql|diff)\.py)"
    r"|^pygments/styles/(?!(__init__|_mapping|default|monokai)\.py)|^fastai/medical/"
)
KEPT = re.compile(r"^spacy/lang/")


def main() -> None:
    wheels, site = BROUGHT / "wheels", BROUGHT / "site"
    wheels.mkdir(parents=True, exist_ok=True)
    download(wheels)
    shutil.rmtree(site, ignore_errors=True)
    for requirement in requirements():
        unpack(wheel_of(wheels, requirement), site)
    strip_blis(site)
    strip(site)
    noted = {"revision": revision(), "digest": report.digest(["hpsearch"])}
    (site / "hpsearch-gpu.json").write_text(json.dumps(noted), encoding="utf-8")
    bundle = BROUGHT / "bundle.tar.xz"
    write(bundle, site)
    size = bundle.stat().st_size
    print(
        f"{bundle}: {size / 1e6:.1f} MB of {LIMIT / 1e6:.0f}; our package as of {noted['revision']}"
    )
    sys.exit(size > LIMIT)


def download(folder: Path) -> None:
    """The wheels, those of constraints.txt in its versions; what is there already is not asked
    for again."""
    missing = [one for one in requirements() if wheel_of(folder, one) is None]
    if not missing:
        return
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    command += ["--only-binary", ":all:", "--python-version", PYTHON, "--implementation", "cp"]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    subprocess.run([*map(str, command), *missing], check=True)


def requirements() -> list[str]:
    """What is brought along, each as NAME==VERSION."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    return [f"{name}=={pins[name]}" for name in PINNED.split()] + list(PEERS)


def wheel_of(folder: Path, requirement: str) -> Path | None:
    """Its wheel; None where it was not downloaded yet."""
    wanted = _plain(*requirement.split("=="))
    return next(
        (one for one in folder.glob("*.whl") if _plain(*one.name.split("-")[:2]) == wanted), None
    )


def _plain(name: str, version: str) -> tuple[str, str]:
    return re.sub(r"[-_.]+", "-", name).lower(), version


def unpack(wheel: Path | None, site: Path) -> None:
    """What is needed of a wheel."""
    assert wheel is not None
    with zipfile.ZipFile(wheel) as opened:
        for name in opened.namelist():
            if not name.endswith("/") and (KEPT.match(name) or not LEFT_OUT.search(name)):
                opened.extract(name, site)
    for told in site.glob("*.dist-info/METADATA"):  # what is asked of them is the version
        told.write_text(told.read_text("utf-8").partition("\n\n")[0] + "\n", "utf-8")


def strip_blis(site: Path) -> None:
    """Without the half of blis that Python calls: spaCy's tokenizer multiplies nothing."""
    (site / "blis/py.py").write_text("def gemm(*_, **__):\n    raise NotImplementedError\n")


def strip(site: Path) -> None:
    """Take the symbols out of compiled files."""
    for file in site.rglob("*.so*"):
        subprocess.run(["strip", "--strip-unneeded", str(file)], check=True)


def files(site: Path) -> Iterator[tuple[str, Path]]:
    """(name in the archive, file) of the small checkout and of what it needs."""
    for pattern in CHECKOUT:
        for file in sorted(ROOT.glob(pattern)):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(ROOT).as_posix(), file
    for file in sorted(site.rglob("*")):
        if file.is_file():
            yield f".gpu/site/{file.relative_to(site).as_posix()}", file


def write(bundle: Path, site: Path) -> None:
    """The archive, the same for the same content."""
    with tarfile.open(bundle, "w:xz", preset=PRESET) as archive:
        for name, file in files(site):
            entry = tarfile.TarInfo(name)
            content = file.read_bytes()
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    main()
