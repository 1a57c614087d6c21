"""Where the bytes come from: named data sets, the user's own files, and the cache between runs."""

from hpsearch.core.home import ensure_home, home
from hpsearch.data.catalog import DataStatus, Fetched, data_status, fetch_data
from hpsearch.data.ratings import RatingsDataset, load_ratings
from hpsearch.data.tables import TableDataset, load_table
from hpsearch.data.text_dataset import TextDataset
from hpsearch.data.texts import load_text

__all__ = [
    "DataStatus",
    "Fetched",
    "RatingsDataset",
    "TableDataset",
    "TextDataset",
    "data_status",
    "ensure_home",
    "fetch_data",
    "home",
    "load_ratings",
    "load_table",
    "load_text",
]
