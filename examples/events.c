/* Imports a kernel trace and tells what it holds.
 *
 * usage: events TRACE DATASET */
#include <inttypes.h>
#include <stdio.h>

#include <tracetwin/tracetwin.h>

/* Every call that fails leaves its causes, the deepest first. */
static int complain(enum tt_status status) {
  for (size_t i = tt_cause_count(); i-- > 0;)
    fprintf(stderr, "events: %s\n", tt_cause(i));
  return tt_status_exit_code(status);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: events TRACE DATASET\n");
    return 2;
  }
  const char *traces[] = {argv[1]};
  /* Options are zeroed structs: what is not named here has its default. */
  const struct tt_import_options import = {.inputs = traces, .n_inputs = 1, .output = argv[2]};
  struct tt_dataset_info info;
  enum tt_status status = tt_job_import(&import, &info);
  if (status != TT_OK)
    return complain(status);
  printf("%" PRIu64 " events of %" PRIu64 " types, by %" PRIu64 " threads on %" PRIu64
         " CPUs, in %.3f s\n",
         info.events, info.event_types, info.tids, info.cpus, (double)info.duration_ns * 1e-9);
  if (info.lost_events)
    printf("the tracer lost %" PRIu64 " events\n", info.lost_events);
  return 0;
}
