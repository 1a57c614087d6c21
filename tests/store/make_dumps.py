"""Keep stores of the present schema as SQL, for the tests of later migrations.

    python tests/store/make_dumps.py        # before a migration is added

Writes dumps/REVISION-KIND.sql for SQLite, PostgreSQL and MariaDB, whose `pg_dump` and
`mariadb-dump` must be there.
"""

import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from full_study import fill
from sqlalchemy.engine import make_url
from store_databases import database

from hpsearch.store import Store
from hpsearch.store.tables import migrate

DUMPS = Path(__file__).parent / "dumps"


def main():
    DUMPS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write("sqlite", f"sqlite:///{folder}/store.db")
    for kind in ("postgresql", "mariadb"):
        with database(kind) as url:
            write(kind, url)


def write(kind, url):
    with Store.open(url) as store:
        fill(store)
    lines = dump(kind, make_url(url)).splitlines()
    # No comments, and no commands of the servers' own shells.
    kept = [line for line in lines if line.strip() and not re.match(r"--|\\|/\*M?!", line)]
    (DUMPS / f"{migrate.HEAD}-{kind}.sql").write_text("\n".join(kept) + "\n")


def dump(kind, url):
    if kind == "sqlite":
        with sqlite3.connect(url.database) as connection:
            return "\n".join(connection.iterdump())
    where = ["-h", url.host, "-U" if kind == "postgresql" else "-u", url.username]
    command = {
        "postgresql": ["pg_dump", "--inserts", "--no-owner", "--no-privileges"],
        "mariadb": ["mariadb-dump", "--skip-add-locks", "--skip-lock-tables"],
    }[kind]
    full = [*command, *where, url.database]
    return subprocess.run(full, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
