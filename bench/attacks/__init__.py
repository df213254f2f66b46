"""`kssl bench --attacks`: what one hostile peer costs everybody else."""
