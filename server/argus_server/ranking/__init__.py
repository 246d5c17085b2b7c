"""Ranking: plain data in, plain data out. It knows no database, no web framework and no HTML."""
