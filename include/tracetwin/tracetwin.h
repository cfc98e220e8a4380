/* tracetwin: learns from real kernel traces and makes their synthetic twin.
 *
 * The library does what the command does, path in, path out: every tt_job_* function reads and
 * writes the files and folders its options name, returns an enum tt_status (tracetwin/status.h) and
 * fills a result. Options are zero-initialised structs: a zero means the default. Outputs appear
 * whole or not at all; nothing is overwritten unless `overwrite` is set. Strings in options are
 * borrowed for the call. Results are untouched on failure. */
#ifndef TRACETWIN_TRACETWIN_H
#define TRACETWIN_TRACETWIN_H

#include <tracetwin/constraints.h>
#include <tracetwin/dataset.h>
#include <tracetwin/evaluate.h>
#include <tracetwin/generator.h>
#include <tracetwin/progress.h>
#include <tracetwin/status.h>

/* The library's version, "MAJOR.MINOR.PATCH". */
TT_API const char *tt_version(void);

#endif
