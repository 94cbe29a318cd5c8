"""Make a tiers file out of human answers with a language model: ask, send, join."""
