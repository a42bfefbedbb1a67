"""Pure measures of texts and predictions."""
