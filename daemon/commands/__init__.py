"""The commands of `sluice`: the folder is the menu, one file each with `add` and `run`."""
