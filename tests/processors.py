"""What only some processors can."""

import pytest

from hpsearch.trainers.shared.device import multiplies_bfloat16

needs_bfloat16 = pytest.mark.skipif(
    not multiplies_bfloat16(),
    reason="this processor has no AVX-512: hpsearch refuses bfloat16, which it would emulate",
)
