"""Command lines typed in this process: a new Python imports for some seconds each time."""

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from hpsearch.cli import app


def typed(folder, *arguments, **environment):
    """Run the command in `folder`; returns (exit status, standard output, standard error)."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("HPSEARCH_STORAGE", raising=False)
        for name, value in {"COLUMNS": "100", **environment}.items():
            patch.setenv(name, value)
        patch.setattr("sys.argv", ["hpsearch", *map(str, arguments)])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            app.main()
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()
