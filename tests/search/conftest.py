"""The study whose trainer takes no time."""

from fake_study import console, spec, start, storage, tmp_path  # noqa: F401
