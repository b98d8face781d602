"""The commands, one module each: `parser()` needs the standard library alone, `main(options)` does the job."""
