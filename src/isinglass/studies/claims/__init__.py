"""The claims of the class notes that can be checked here, each beside what is true."""
