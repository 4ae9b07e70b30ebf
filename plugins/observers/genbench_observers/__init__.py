"""Trackers that receive the progress of a genbench benchmark, one file per tracker."""
