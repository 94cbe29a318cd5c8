"""Find records that say the same: by their text to the letter, or by most of their words. Knows no rule."""
