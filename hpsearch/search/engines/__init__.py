"""Where a run's workers live: processes of this machine."""
