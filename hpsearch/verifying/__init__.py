"""Verification: new runs, in pairs, decide about a rule that other runs proposed."""

from hpsearch.verifying.run import verify
from hpsearch.verifying.verification import Verification

__all__ = ["Verification", "verify"]
