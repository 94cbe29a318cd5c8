"""The algorithms of diversity: functions of arrays and texts. They know no rules and no files."""
