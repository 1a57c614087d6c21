"""Optuna's trial tables have one reader and one writer: no other module states a query on them.

The sources are searched for such statements, and each that is executed is looked at, too.
"""

import ast
import re
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from calls import run
from fake_study import console, spec, tmp_path  # noqa: F401
from full_study import fill

import hpsearch
from hpsearch.store import Store
from hpsearch.store.archive import read_study, write_study
from hpsearch.store.doctor import examine
from hpsearch.store.tables import optuna_tables

SOURCES = Path(hpsearch.__file__).parent
NAMES = {
    name: one.name
    for name, one in vars(optuna_tables).items()
    if isinstance(one, sa.Table) and "trial_id" in one.c
}
"""The trial tables as `optuna_tables` calls them, and as the database does."""
READER, WRITER = "store/trials/read/", "store/trials/write/"
STATEMENTS = {"select", "insert", "update", "delete"}
TEXTS = {"text", "exec_driver_sql"}


def modules():
    for path in sorted(SOURCES.rglob("*.py")):
        name, text = path.relative_to(SOURCES).as_posix(), path.read_text(encoding="utf-8")
        if name == "store/tables/optuna_tables.py" or name.startswith((READER, WRITER)):
            continue
        if "hpsearch.store" in text or any(f"{one}(" in text for one in TEXTS):
            yield name, ast.parse(text)


def called(node):
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def root(node):
    """`a` of `a.b.c`, `a.b(c)` and `*a`."""
    while isinstance(node, ast.Attribute | ast.Call | ast.Starred | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return getattr(node, "id", None)


def named(tree):
    """How the module calls the trial tables, and the modules that have them."""
    tables, homes = set(), set()
    for node in ast.walk(tree):
        for one in node.names if isinstance(node, ast.ImportFrom) else ():
            if (node.module or "").startswith("hpsearch.store") and one.name in NAMES:
                tables.add(one.asname or one.name)
            elif one.name == "optuna_tables":
                homes.add(one.asname or one.name)
    return tables, homes


def queries(tree):
    """The lines of a module with a query on a trial table, or what could be one.

    A module may list the tables, but takes no column of one and hands none to a function. Where it
    lists them, no statement is about a variable.
    """
    tables, homes = named(tree)

    def is_table(node):
        of_home = isinstance(node, ast.Attribute) and root(node) in homes and node.attr in NAMES
        return of_home or (isinstance(node, ast.Name) and node.id in tables)

    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_table(node.value):
            yield node.lineno
        elif isinstance(node, ast.Call):
            given = [*node.args, *(one.value for one in node.keywords)]
            if (
                any(map(is_table, given))
                or (tables and of_a_variable(node, given))
                or (called(node) in TEXTS and trial_tables_in(" ".join(texts(node))))
            ):
                yield node.lineno


def of_a_variable(call, given):
    """Whether the call makes a statement, and not about tables that it names."""
    if called(call) not in STATEMENTS or (given and root(call) not in ("sa", *STATEMENTS)):
        return False  # the update of a dictionary, say
    roots = [root(one) for one in given] or [root(call)]
    return any(one is None or (one.islower() and one != "schema") for one in roots)


def texts(node):
    return [str(one.value) for one in ast.walk(node) if isinstance(one, ast.Constant)]


def trial_tables_in(statement):
    return set(NAMES.values()) & set(re.findall(r"\w+", statement))


def test_only_the_reader_and_the_writer_state_queries_on_trial_tables():
    assert sorted(NAMES.values()) == [
        "trial_heartbeats", "trial_intermediate_values", "trial_params", "trial_system_attributes",
        "trial_user_attributes", "trial_values", "trials",
    ]  # fmt: skip
    found = {name: lines for name, tree in modules() if (lines := list(queries(tree)))}
    assert found == {}, "put these into store/trials/read or store/trials/write"


IMPORT = "from hpsearch.store.tables.optuna_tables import TRIALS, STUDIES\n"


@pytest.mark.parametrize(
    "text",
    [
        IMPORT + "sa.select(TRIALS.c.number)",
        IMPORT + "sa.insert(TRIALS)",
        IMPORT + "sa.select(STUDIES).join(TRIALS)",
        IMPORT + "other = TRIALS.alias()",
        IMPORT + "for table in (TRIALS, STUDIES): sa.delete(table)",
        IMPORT + "for table in (TRIALS, STUDIES): table.delete()",
        IMPORT + "for table in (TRIALS, STUDIES): sa.select(sa.func.max(table.c.number))",
        "from hpsearch.store.tables.optuna_tables import TRIALS as T\nT.c.number",
        "from hpsearch.store.trials.read.states import TRIALS\nTRIALS.c.number",
        "from hpsearch.store.tables import optuna_tables\nsa.update(optuna_tables.TRIALS)",
        "connection.exec_driver_sql('UPDATE trials SET state = 3')",
        "sa.text(f'SELECT count(*) FROM trial_params WHERE trial_id = {one}')",
    ],
)
def test_a_query_elsewhere_is_found(text):
    assert list(queries(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        IMPORT + "ORDER = (STUDIES, TRIALS)\nsa.select(STUDIES.c.study_name)",
        IMPORT + "CHECKS = {TRIALS: check}\nif table is TRIALS: pass",
        IMPORT + "digest.update(line)",
        "VALUES = 12\nprint(VALUES)",
    ],
)
def test_a_list_of_tables_is_no_query(text):
    assert list(queries(ast.parse(text))) == []


def asks_trial_tables(statement):
    """Whether it does so itself: its subqueries may be conditions that the reader made."""
    while (shorter := re.sub(r"\([^()]*\)", "", statement)) != statement:
        statement = shorter
    return re.search(rf"(?<![.\w])({'|'.join(NAMES.values())})\b(?!\s*=)", statement)


@pytest.fixture
def places():
    """Which files of hpsearch execute a statement on a trial table."""
    found = set()

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def look(connection, cursor, statement, *_):
        if not asks_trial_tables(statement):
            return
        frame = sys._getframe(1)
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(SOURCES):
                found.add(path.relative_to(SOURCES).as_posix())
                return
            if "optuna" in path.parts:  # in its own tables
                return
            frame = frame.f_back

    yield found
    sa.event.remove(sa.Engine, "before_cursor_execute", look)


def test_only_the_reader_and_the_writer_execute_queries_on_trial_tables(
    places, spec, tmp_path, console  # noqa: F811
):  # fmt: skip
    """A run, an export and an import, and a doctor that mends a store."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    study = run(spec, trials=4, storage=url, console=console)
    with Store.open(url) as store:
        fill(store)
        write_study(store.engine, study._study_id, tmp_path / "study.zip")
        read_study(store.engine, tmp_path / "study.zip", "copy")
        with store.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE trial_params SET distribution_json = 'x'")
            connection.exec_driver_sql("DELETE FROM trials WHERE number = 1")
        assert any(one.mended for one in examine(store, mend=True))
    modules = {
        READER: ("content", "rows", "states"),
        WRITER: ("deleted", "rows", "running", "states"),
    }
    expected = {f"{folder}{one}.py" for folder, names in modules.items() for one in names}
    assert places == expected
