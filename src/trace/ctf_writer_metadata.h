/* The metadata of a CTF trace, in TSDL 1.8 as plain text: what ctf_writer_stream.c writes. */
#ifndef TRACE_CTF_WRITER_METADATA_H
#define TRACE_CTF_WRITER_METADATA_H

#include <stddef.h>

#include "base/status.h"
#include "trace/ctf_writer.h"
#include "trace/payload.h"

/* The trace's UUID (RFC 9562, version 8): SHA-256 of seed, configuration, event names and number of
 * events. Not unique across equal inputs, on purpose. */
void tt_ctf_uuid(const struct tt_ctf_writer_options *options, const struct tt_payload *payload,
                 uint64_t events, unsigned char ret[16]);

/* The whole text; *ret is released with free() (it comes from open_memstream). `options` without
 * NULL members. */
enum tt_status tt_ctf_metadata(const struct tt_ctf_writer_options *options,
                               const struct tt_payload *payload, const unsigned char uuid[16],
                               char **ret, size_t *ret_size);

#endif
