"""The style ranker (SCAR): its network, its data, its loss."""
