"""`python -m hpsearch` is the command `hpsearch`."""

from hpsearch.cli.app import main

main()
