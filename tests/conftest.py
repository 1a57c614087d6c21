"""What all tests share: threads that do not fight, and caches that are thrown away."""

from __future__ import annotations

import os
import tempfile

# Before torch is loaded: two threads on a small model are slower than one, and they spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test reads or fills the user's own cache.
os.environ["HPSEARCH_HOME"] = tempfile.mkdtemp(prefix="hpsearch-tests-")


def pytest_collection_modifyitems(items):
    """Files with slow tests first: one that comes last runs alone while the other process waits."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
