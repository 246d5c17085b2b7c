"""Exports: renderings of a `RankedTable` that are no page."""
