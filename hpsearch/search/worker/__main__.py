"""`python -m hpsearch.search.worker`: a worker process of the local engine (see loop.main)."""

import sys

from hpsearch.search.worker.loop import main

sys.exit(main())
