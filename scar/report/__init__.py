"""The page that shows a run or a selection: numbers, charts and examples in one file. Loads no model library."""
