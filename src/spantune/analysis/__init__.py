"""What scores are worth, and where answers go wrong: arrays in, plain numbers out. Import the module that you need."""
