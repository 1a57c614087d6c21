"""Studies as tables: a row a trial, a column a parameter, in CSV or Parquet."""

from hpsearch.exchange.column_roles import ColumnChoice
from hpsearch.exchange.export_trials import export_study
from hpsearch.exchange.import_trials import Imported, import_trials
from hpsearch.exchange.infer_space import Overrides

__all__ = ["ColumnChoice", "Imported", "Overrides", "export_study", "import_trials"]
