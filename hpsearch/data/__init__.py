"""Where the bytes come from: named data sets, the user's own files, and the cache between runs."""

from hpsearch.data.dataset import TextDataset
from hpsearch.data.fetch import ensure_home, home
from hpsearch.data.sources import DataStatus, data_status, load_text

__all__ = ["DataStatus", "TextDataset", "data_status", "ensure_home", "home", "load_text"]
