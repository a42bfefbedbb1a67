"""Known mistakes: for each kind of part its definition with every step a choice, and the choices that students get wrong."""
