"""Plugins that come with Argus, through the same hooks as anybody's."""
