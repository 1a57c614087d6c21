"""Studies as tables: a row a trial, a column a parameter, in CSV or Parquet."""

from hpsearch.exchange.exporting import export_study
from hpsearch.exchange.importing import Imported, import_trials
from hpsearch.exchange.scales import Wishes

__all__ = ["Imported", "Wishes", "export_study", "import_trials"]
