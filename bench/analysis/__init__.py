"""Pure functions of records: statistics, launches by case, warnings, costs, break-even."""
