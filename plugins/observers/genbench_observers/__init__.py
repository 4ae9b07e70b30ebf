"""Trackers that are told how a genbench benchmark goes on, one file a tracker."""
