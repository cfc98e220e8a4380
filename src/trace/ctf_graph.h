/* A share of a trace's event streams as libbabeltrace2 message iterators: finds the plugin, makes
 * one src.ctf.fs component per trace, connects the share's ports to a sink of our own and calls
 * back with its iterators. src.ctf.fs makes one port per event stream and decodes only those that
 * are connected, so that several processes can each take some. Runs in the decoder's process. */
#ifndef TRACE_CTF_GRAPH_H
#define TRACE_CTF_GRAPH_H

#include <babeltrace2/babeltrace.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "trace/find.h"

struct tt_ctf_error {    /* the first failure */
  enum tt_status status; /* TT_OK: none */
  char text[400];
};

struct tt_ctf_port {
  const char *name; /* "TRACE | STREAM CLASS | STREAM": unique, borrowed */
  const bt_port_output *output;
  bt_message_iterator *iterator;
};

/* Streams part, part + parts, part + 2 parts, ... of the sorted ports of all folders are given to
 * `run` with the number of streams of the whole trace; it returns false when it has set *error.
 * True when all went well. */
bool tt_ctf_graph_run(const struct tt_trace_folders *folders, size_t part, size_t parts,
                      bool (*run)(void *user, struct tt_ctf_port *ports, size_t n, size_t n_all),
                      void *user, struct tt_ctf_error *error);

/* Sets *error unless it is set; returns false. */
bool tt_ctf_fail(struct tt_ctf_error *error, enum tt_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with libbabeltrace2's own error, taken from it: "WHERE: its deepest cause". The deepest
 * (first) cause says what happened, the others which of its layers gave up. */
bool tt_ctf_fail_library(struct tt_ctf_error *error, const char *where);

#endif
