"""`python -m hpsearch.search`: a worker process of the local engine (see worker.main)."""

import sys

from hpsearch.search.worker import main

sys.exit(main())
