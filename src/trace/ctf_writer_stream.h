/* One CPU's stream file of a CTF trace: packets of LTTng's layout, appended to the file as they
 * fill. The file is open only while a packet is written, so that any number of CPUs fits.
 *
 *   packet:  magic u32, uuid u8[16], stream_id u32                               (packet header)
 *            timestamp_begin, timestamp_end, content_size, packet_size (bits),
 *            packet_seq_num, events_discarded u64, cpu_id u32                    (packet context)
 *            events, then zeros to a whole page
 *   event:   id u16, timestamp u32        | 65535 u16, id u32, timestamp u64     (event header)
 *            procname u8[16], pid i32, tid i32                                   (event context)
 *            payload
 * The short header holds the low 32 bits of the time stamp; the long one is used where more than
 * 2^32 ns passed since the stream's last event, or the id is 65535. */
#ifndef TRACE_CTF_WRITER_STREAM_H
#define TRACE_CTF_WRITER_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "trace/payload.h"
#include "trace/payload_state.h"

#define TT_CTF_MAGIC 0xc1fc1fc1u
#define TT_CTF_EXTENDED 65535u /* event id that says: a long header */

struct tt_ctf_stream {
  char *path;                  /* owned */
  unsigned char *buffer;       /* owned; the open packet */
  size_t used;                 /* bytes of it, 0: no packet open */
  int64_t begin, last;         /* ns: first and last event of the packet; `last` of the stream */
  uint64_t packets, discarded; /* so far */
  uint64_t bytes;              /* written to the file */
  size_t next_gap;             /* gaps before this index are counted in `discarded` */
  uint16_t cpu;
};

/* Allocates the buffer; no file is made before the first packet is full. */
enum tt_status tt_ctf_stream_open(const char *path, uint16_t cpu, struct tt_ctf_stream *ret);
/* Appends one event; writes the packet when the event doesn't fit any more. */
enum tt_status tt_ctf_stream_put(struct tt_ctf_stream *stream, const unsigned char uuid[16],
                                 const struct tt_payload_class *class,
                                 const struct tt_payload_facts *facts);
/* Writes the open packet, if any. */
enum tt_status tt_ctf_stream_flush(struct tt_ctf_stream *stream, const unsigned char uuid[16]);
void tt_ctf_stream_release(struct tt_ctf_stream *stream);

#endif
