"""Search hyperparameters, and read rules of thumb off the trials."""

__version__ = "0.1.0"
