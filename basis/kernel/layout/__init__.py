"""How the arrays are laid out: codes, record types, the shape of a book, and the layouts of its arrays."""
