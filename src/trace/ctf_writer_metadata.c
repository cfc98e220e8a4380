#include "trace/ctf_writer_metadata.h"

#include <inttypes.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void tt_ctf_uuid(const struct tt_ctf_writer_options *options, const struct tt_payload *payload,
                 uint64_t events, unsigned char ret[16]) {
  SHA2_CTX context;
  uint8_t digest[SHA256_DIGEST_LENGTH];
  uint64_t numbers[] = {options->seed, (uint64_t)options->clock_origin_ns, events, payload->n};
  SHA256Init(&context);
  SHA256Update(&context, (const uint8_t *)numbers, sizeof numbers);
  const char *texts[] = {options->hostname, options->trace_name, options->kernel_release};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    SHA256Update(&context, (const uint8_t *)texts[i], strlen(texts[i]) + 1);
  for (size_t i = 0; i < payload->n; i++)
    SHA256Update(&context, (const uint8_t *)payload->classes[i].name,
                 strlen(payload->classes[i].name) + 1);
  SHA256Final(digest, &context);
  memcpy(ret, digest, 16);
  ret[6] = (unsigned char)((ret[6] & 0x0f) | 0x80); /* version 8 */
  ret[8] = (unsigned char)((ret[8] & 0x3f) | 0x80); /* variant 10 */
}

static const char head[] =
    "/* CTF 1.8 */\n\n"
    "typealias integer { size = 8; align = 8; signed = false; } := uint8_t;\n"
    "typealias integer { size = 16; align = 8; signed = false; } := uint16_t;\n"
    "typealias integer { size = 32; align = 8; signed = false; } := uint32_t;\n"
    "typealias integer { size = 64; align = 8; signed = false; } := uint64_t;\n"
    "typealias integer { size = 64; align = 8; signed = false; } := unsigned long;\n"
    "typealias integer { size = 5; align = 1; signed = false; } := uint5_t;\n"
    "typealias integer { size = 27; align = 1; signed = false; } := uint27_t;\n\n";

static const char layout[] =
    "typealias integer {\n"
    "\tsize = 32; align = 8; signed = false;\n"
    "\tmap = clock.monotonic.value;\n"
    "} := uint32_clock_monotonic_t;\n\n"
    "typealias integer {\n"
    "\tsize = 64; align = 8; signed = false;\n"
    "\tmap = clock.monotonic.value;\n"
    "} := uint64_clock_monotonic_t;\n\n"
    "struct packet_context {\n"
    "\tuint64_clock_monotonic_t timestamp_begin;\n"
    "\tuint64_clock_monotonic_t timestamp_end;\n"
    "\tuint64_t content_size;\n"
    "\tuint64_t packet_size;\n"
    "\tuint64_t packet_seq_num;\n"
    "\tunsigned long events_discarded;\n"
    "\tuint32_t cpu_id;\n"
    "};\n\n"
    "struct event_header_large {\n"
    "\tenum : uint16_t { compact = 0 ... 65534, extended = 65535 } id;\n"
    "\tvariant <id> {\n"
    "\t\tstruct {\n"
    "\t\t\tuint32_clock_monotonic_t timestamp;\n"
    "\t\t} compact;\n"
    "\t\tstruct {\n"
    "\t\t\tuint32_t id;\n"
    "\t\t\tuint64_clock_monotonic_t timestamp;\n"
    "\t\t} extended;\n"
    "\t} v;\n"
    "} align(8);\n\n"
    "stream {\n"
    "\tid = 0;\n"
    "\tevent.header := struct event_header_large;\n"
    "\tpacket.context := struct packet_context;\n"
    "\tevent.context := struct {\n"
    "\t\tinteger { size = 8; align = 8; signed = 0; encoding = UTF8; base = 10; } _procname[16];\n"
    "\t\tinteger { size = 32; align = 8; signed = 1; encoding = none; base = 10; } _pid;\n"
    "\t\tinteger { size = 32; align = 8; signed = 1; encoding = none; base = 10; } _tid;\n"
    "\t};\n"
    "};\n\n";

/* A TSDL string literal. */
static void put_text(FILE *file, const char *text) {
  putc('"', file);
  for (; *text; text++) {
    if (*text == '"' || *text == '\\')
      putc('\\', file);
    putc((unsigned char)*text < 0x20 ? '?' : *text, file);
  }
  putc('"', file);
}

static void put_env(FILE *file, const char *name, const char *value) {
  fprintf(file, "\t%s = ", name);
  put_text(file, value);
  fputs(";\n", file);
}

enum tt_status tt_ctf_metadata(const struct tt_ctf_writer_options *options,
                               const struct tt_payload *payload, const unsigned char uuid[16],
                               char **ret, size_t *ret_size) {
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&text, &size);
  if (!file)
    return tt_fail(TT_NO_MEMORY, "out of memory for the metadata");
  fputs(head, file);
  fputs("trace {\n\tmajor = 1;\n\tminor = 8;\n\tuuid = \"", file);
  for (int i = 0; i < 16; i++)
    fprintf(file, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
  fputs("\";\n\tbyte_order = le;\n\tpacket.header := struct {\n\t\tuint32_t magic;\n"
        "\t\tuint8_t  uuid[16];\n\t\tuint32_t stream_id;\n\t};\n};\n\n",
        file);
  time_t seconds = (time_t)(options->clock_origin_ns / 1000000000);
  struct tm when;
  char created[32] = "";
  if (gmtime_r(&seconds, &when))
    strftime(created, sizeof created, "%Y%m%dT%H%M%S+0000", &when);
  fputs("env {\n", file);
  put_env(file, "hostname", options->hostname);
  put_env(file, "domain", "kernel");
  put_env(file, "sysname", "Linux");
  put_env(file, "kernel_release", options->kernel_release);
  put_env(file, "kernel_version", "tracetwin " TT_VERSION);
  put_env(file, "tracer_name", "lttng-modules");
  fputs("\ttracer_major = 2;\n\ttracer_minor = 13;\n\ttracer_patchlevel = 0;\n", file);
  put_env(file, "trace_buffering_scheme", "global");
  put_env(file, "trace_name", options->trace_name);
  put_env(file, "trace_creation_datetime", created);
  fprintf(file,
          "};\n\nclock {\n\tname = \"monotonic\";\n\tdescription = \"Monotonic Clock\";\n"
          "\tfreq = 1000000000; /* Frequency, in Hz */\n"
          "\t/* clock value offset from Epoch is: offset * (1/freq) */\n"
          "\toffset = %" PRId64 ";\n};\n\n",
          options->clock_origin_ns);
  fputs(layout, file);
  for (size_t i = 0; i < payload->n; i++)
    fprintf(file,
            "event {\n\tname = \"%s\";\n\tid = %zu;\n\tstream_id = 0;\n\tfields := struct {\n"
            "%s\t};\n};\n\n",
            payload->classes[i].name, i, payload->classes[i].metadata);
  if (fclose(file) != 0) {
    free(text);
    return tt_fail(TT_NO_MEMORY, "out of memory for the metadata");
  }
  *ret = text;
  *ret_size = size;
  return TT_OK;
}
