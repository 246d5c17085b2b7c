"""The store: the only part of Argus that knows a database."""
