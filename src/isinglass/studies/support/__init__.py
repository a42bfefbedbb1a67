"""A support desk's questions, and what they tell of the savings that need a measurement: cache, routing, compression."""
