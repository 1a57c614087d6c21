"""Every command against PostgreSQL as a role with a password, and then a search for it everywhere:
output, files, archives, rows, and what the system shows of every process while they run."""

import contextlib
import threading
import time
import traceback
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from store_databases import database
from typed import typed

pytestmark = pytest.mark.slow

SECRET, WRITTEN = "hunter22/x", "hunter22%2Fx"
STUDY = """
name = "shop"
trainer = "tabular"
metric = "accuracy"
direction = "maximize"
data = { path = "shop.csv", target = "left" }
settings = { layers = "8", bs = 16 }
[space.lr]
low = 1e-3
high = 1e-1
default = 1e-2
[space.drop]
low = 0.0
high = 0.5
default = 0.1
[presets.quick]
trials = 6
"""
COMMANDS = (
    ("run", "study.toml", "--preset", "quick", "--trials", "6", "--workers", "2"),
    ("studies",),
    ("show", "study.toml"),
    ("enqueue", "shop-quick", "lr=0.02"),
    ("explain", "shop-quick"),
    ("explain", "shop-quick", "--format", "html", "--output", "report.html"),
    ("explain", "shop-quick", "--format", "json", "--output", "report.json"),
    ("doctor", "--mend"),
    ("train", "study.toml", "--preset", "quick", "--trial", "1", "--output", "model"),
    ("export", "shop-quick", "--output", "trials.parquet"),
    ("export", "shop-quick", "--output", "shop.zip"),
    ("import", "shop.zip", "--study", "shop-again"),
)
BAD = (  # what each says must not quote the URL, with or without the traceback
    ("run", "study.toml", "--preset", "quick", "--fix", "nothing=1"),
    ("run", "study.toml", "--preset", "quick", "--debug", "--warm-start", "nothing"),
    ("import", "shop.zip", "--debug"),
    ("explain", "nothing", "--debug"),
    ("doctor", "--storage", "{unreachable}"),
    ("doctor", "--debug", "--storage", "{unreachable}"),
)


@pytest.fixture
def url():
    """A database that a role of its own with a password may use."""
    with database("postgresql") as base:
        role = f"r{base.rsplit('_', 1)[1]}"
        admin = sa.create_engine(base, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'")
            connection.exec_driver_sql(f"GRANT ALL ON SCHEMA public TO {role}")
        place = make_url(base)
        yield f"postgresql://{role}:{WRITTEN}@{place.host}:{place.port}/{place.database}"
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")


@contextlib.contextmanager
def titles():
    """What every process of the machine showed as its command line, as `ps` does."""
    seen, stop = set(), threading.Event()

    def watch():
        while not stop.wait(0.05):
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(place.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def everything_in(folder):
    """The content of all files, and of the members of archives."""
    texts = {}
    for path in folder.rglob("*"):
        if path.is_file():
            texts[str(path)] = path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                texts |= {f"{path}:{name}": archive.read(name) for name in archive.namelist()}
    return texts


def rows(url):
    engine = sa.create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    found = sa.MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        texts = {
            name: str(connection.execute(sa.select(table)).all())
            for name, table in found.tables.items()
        }
        queries = connection.exec_driver_sql("SELECT query, application_name FROM pg_stat_activity")
        texts["pg_stat_activity"] = str(queries.all())
    engine.dispose()
    return texts


def test_no_output_file_row_or_process_title_holds_a_password(tmp_path, url):
    pd.DataFrame({"age": range(120), "left": ["yes", "no"] * 60, "plan": list("abcd") * 30}).to_csv(
        tmp_path / "shop.csv", index=False
    )
    (tmp_path / "study.toml").write_text(STUDY)
    environment = {
        "HPSEARCH_STORAGE": url, "HPSEARCH_HOME": str(tmp_path / "home"),
        "HPSEARCH_DEVICE": "cpu", "TMPDIR": str(tmp_path),
    }  # fmt: skip
    unreachable = f"postgresql://me:{WRITTEN}@127.0.0.1:1/nothing"
    said = {}

    def hpsearch(*arguments):
        try:
            status, out, err = typed(tmp_path, *arguments, **environment)
        except Exception:  # with --debug it is Python that prints it
            status, out, err = 1, "", traceback.format_exc()
        said[arguments] = out + err
        return status

    with titles() as seen:
        for command in COMMANDS:
            assert hpsearch(*command) == 0, said[command]
        # What is given on the command line the system shows: HPSEARCH_STORAGE is there for that.
        for command in (one for one in BAD if "{unreachable}" not in one):
            assert hpsearch(*command) != 0
        time.sleep(0.1)
    for command in (one for one in BAD if "{unreachable}" in one):
        assert hpsearch(*(one.format(unreachable=unreachable) for one in command)) != 0
    assert any("hpsearch.search" in title for title in seen), "the workers were not seen"
    outputs = {" ".join(command): text for command, text in said.items()}
    stored = rows(url)
    assert "shop-again" in stored["studies"]
    assert "finished" in stored["hps_run"]
    for secret in (SECRET, WRITTEN):
        assert not [one for one in seen if secret in one]
        assert not [name for name, text in {**outputs, **stored}.items() if secret in text]
        files = everything_in(tmp_path)
        assert not [name for name, text in files.items() if secret.encode() in text]
    assert "***" in said[("import", "shop.zip", "--study", "shop-again")]
