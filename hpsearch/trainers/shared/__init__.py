"""What the trainers share.

On a GPU, too, a seed gives one result, to the bit. cuBLAS needs a workspace of fixed size for it,
which it asks for when CUDA starts. `HPSEARCH_DETERMINISTIC=0` leaves the libraries their choice:
to measure what the choice would be worth.
"""

from __future__ import annotations

import os

DETERMINISTIC = os.environ.get("HPSEARCH_DETERMINISTIC", "1") != "0"
if DETERMINISTIC:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
