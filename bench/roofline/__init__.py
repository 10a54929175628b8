"""The roofline: a step's counted work, compared with the rates that are measured on this machine."""
