"""The lab: a local web page over the one model."""
