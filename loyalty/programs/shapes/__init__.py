"""The blocks of a program file, one module for each part of the program. Pure."""
