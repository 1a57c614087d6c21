"""Verification: new runs, in pairs, decide about a rule that other runs proposed."""

from hpsearch.verification.plan import Contrast, Design
from hpsearch.verification.result import Verification
from hpsearch.verification.run import verify

__all__ = ["Contrast", "Design", "Verification", "verify"]
