"""The pages: the only part of Argus that knows HTML."""
