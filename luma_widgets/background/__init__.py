"""What goes on while nobody waits: sending, polling, downloading, and writing down what came."""
