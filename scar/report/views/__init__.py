"""What was gathered, in sentences, charts and tables: a file a part of the page."""
