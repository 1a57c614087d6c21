"""What all tests share: threads that do not fight, and caches that are thrown away."""

from __future__ import annotations

import os
import tempfile

# Before torch is loaded: two threads on a small model are slower than one, and they spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test reads or fills the user's own cache.
os.environ["HPSEARCH_HOME"] = tempfile.mkdtemp(prefix="hpsearch-tests-")
