/* Makes tiny CTF 1.8 traces by hand for the tests of the reader: uncompact headers, byte-aligned
 * fields, one stream file per CPU. Include after cmocka.h. */
#ifndef TESTS_CTF_FIXTURE_H
#define TESTS_CTF_FIXTURE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/output.h"

enum fixture_kind { KIND_LTTNG, KIND_LTTNG_CONTEXTS, KIND_PERF, KIND_OTHER };

/* Event ids of the LTTng-like kinds, with the format of their payload (see ctf_put). */
enum {
  L_SWITCH,    /* cici: prev_comm prev_tid next_comm next_tid */
  L_ENTRY,     /* i */
  L_EXIT,      /* l */
  L_IRQ,       /* i */
  L_FORK,      /* cici: parent_comm parent_tid child_comm child_tid */
  L_EXEC,      /* si: filename tid */
  L_WAKING,    /* ci */
  L_STATEDUMP, /* ic */
  L_PRCTL,     /* i */
  L_COMPAT,    /* l */
  L_EXECVE,    /* l */
};
/* And of the perf-like kind. */
enum {
  P_COMM,   /* iis: pid tid comm */
  P_FORK,   /* iiiil: pid ppid tid ptid time */
  P_SWITCH, /* iicici: perf_tid common_pid prev_comm prev_pid next_comm next_pid */
  P_EXIT,   /* iil: perf_tid common_pid ret */
  P_RAW,    /* iill: perf_tid common_pid id ret */
  P_RENAME, /* iiicc: perf_tid common_pid pid oldcomm newcomm */
  P_IRQ,    /* ii */
};

struct ctf_stream {
  unsigned char *data;
  size_t n, capacity;
  size_t packet; /* where the open packet begins */
  uint64_t packets, discarded;
  uint32_t cpu;
};

struct ctf {
  char path[256];
  enum fixture_kind kind;
  unsigned char uuid[16];
  struct ctf_stream streams[8]; /* by CPU; those with packets are written */
};

static void ctf_append(struct ctf_stream *s, const void *data, size_t size) {
  assert_int_equal(tt_grow(&s->data, &s->capacity, s->n + size, 1), 0);
  memcpy(s->data + s->n, data, size);
  s->n += size;
}

static void ctf_u32(struct ctf_stream *s, uint32_t value) {
  ctf_append(s, &value, 4);
}

static void ctf_u64(struct ctf_stream *s, uint64_t value) {
  ctf_append(s, &value, 8);
}

/* The clock starts at `origin` ns after its epoch. */
static void ctf_begin(struct ctf *c, const char *path, enum fixture_kind kind, unsigned char number,
                      uint64_t origin) {
  static const char comm[] =
      "integer { size = 8; align = 8; signed = false; encoding = UTF8; } _%s[16];";
  static const struct {
    const char *name, *format, *fields; /* fields: names, one per letter */
  } lttng[] = {{"sched_switch", "cici", "prev_comm prev_tid next_comm next_tid"},
               {"syscall_entry_read", "i", "fd"},
               {"syscall_exit_read", "l", "ret"},
               {"irq_handler_entry", "i", "irq"},
               {"sched_process_fork", "cici", "parent_comm parent_tid child_comm child_tid"},
               {"sched_process_exec", "si", "filename tid"},
               {"sched_waking", "ci", "comm tid"},
               {"lttng_statedump_process_state", "ic", "tid name"},
               {"syscall_entry_prctl", "i", "option"},
               {"compat_syscall_exit_write", "l", "ret"},
               {"syscall_exit_execve", "l", "ret"}},
    perf[] = {{"perf_comm", "iis", "pid tid comm"},
              {"perf_fork", "iiiil", "pid ppid tid ptid time"},
              {"sched:sched_switch", "iicici",
               "perf_tid common_pid prev_comm prev_pid next_comm next_pid"},
              {"syscalls:sys_exit_read", "iil", "perf_tid common_pid ret"},
              {"raw_syscalls:sys_exit", "iill", "perf_tid common_pid id ret"},
              {"task:task_rename", "iiicc", "perf_tid common_pid pid oldcomm newcomm"},
              {"irq:irq_handler_entry", "ii", "perf_tid common_pid"}};

  memset(c, 0, sizeof *c);
  snprintf(c->path, sizeof c->path, "%s", path);
  c->kind = kind;
  memset(c->uuid, number, sizeof c->uuid);
  assert_int_equal(tt_make_folders(path), TT_OK);
  char *file = tt_format("%s/metadata", path);
  FILE *f = fopen(file, "w");
  assert_non_null(f);
  tt_free(file);
  fprintf(f, "/* CTF 1.8 */\n\ntrace {\n  major = 1; minor = 8; uuid = \"");
  for (int i = 0; i < 16; i++)
    fprintf(f, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", number);
  fprintf(f,
          "\";\n  byte_order = le;\n  packet.header := struct {\n"
          "    integer { size = 32; align = 8; } magic;\n"
          "    integer { size = 8; align = 8; } uuid[16];\n"
          "    integer { size = 32; align = 8; } stream_id;\n"
          "    integer { size = 64; align = 8; } stream_instance_id;\n  };\n};\n"
          "env { domain = \"kernel\"; tracer_name = \"%s\"; };\n"
          "clock { name = \"k\"; freq = 1000000000; offset = %llu; };\n",
          kind == KIND_PERF    ? "perf"
          : kind == KIND_OTHER ? "else"
                               : "lttng-modules",
          (unsigned long long)origin);
  fprintf(f, "typealias integer { size = 64; align = 8; map = clock.k.value; } := stamp_t;\n"
             "typealias integer { size = 64; align = 8; } := u64;\n"
             "typealias integer { size = 32; align = 8; signed = true; } := i32;\n"
             "typealias integer { size = 64; align = 8; signed = true; } := i64;\n"
             "stream {\n  id = 0;\n  packet.context := struct {\n"
             "    stamp_t timestamp_begin; stamp_t timestamp_end;\n"
             "    u64 content_size; u64 packet_size; u64 packet_seq_num; u64 events_discarded;\n"
             "    integer { size = 32; align = 8; } cpu_id;\n  };\n"
             "  event.header := struct {\n"
             "    integer { size = 16; align = 8; } id; stamp_t timestamp;\n  };\n");
  if (kind == KIND_LTTNG_CONTEXTS) {
    fprintf(f, "  event.context := struct { i32 _tid; ");
    fprintf(f, comm, "procname");
    fprintf(f, " };\n");
  }
  fprintf(f, "};\n");
  size_t n = kind == KIND_PERF ? sizeof perf / sizeof *perf : sizeof lttng / sizeof *lttng;
  for (size_t i = 0; i < n; i++) {
    const char *fields = kind == KIND_PERF ? perf[i].fields : lttng[i].fields;
    const char *format = kind == KIND_PERF ? perf[i].format : lttng[i].format;
    fprintf(f, "event {\n  name = \"%s\"; id = %zu; stream_id = 0;\n  fields := struct {\n",
            kind == KIND_PERF ? perf[i].name : lttng[i].name, i);
    for (; *format; format++) {
      char name[32];
      size_t k = strcspn(fields, " ");
      snprintf(name, sizeof name, "%.*s", (int)k, fields);
      fields += k + (fields[k] == ' ');
      fprintf(f, "    ");
      if (*format == 'c')
        fprintf(f, comm, name);
      else
        fprintf(f, "%s _%s;", *format == 'i' ? "i32" : *format == 'l' ? "i64" : "string", name);
      fprintf(f, "\n");
    }
    fprintf(f, "  };\n};\n");
  }
  assert_int_equal(fclose(f), 0);
}

static void ctf_packet(struct ctf *c, uint32_t cpu, uint64_t begin, uint64_t discarded) {
  struct ctf_stream *s = &c->streams[cpu];
  s->cpu = cpu;
  s->packet = s->n;
  ctf_u32(s, 0xc1fc1fc1);
  ctf_append(s, c->uuid, 16);
  ctf_u32(s, 0);
  ctf_u64(s, cpu);
  ctf_u64(s, begin);
  ctf_u64(s, 0); /* timestamp_end, content_size, packet_size: see ctf_packet_end */
  ctf_u64(s, 0);
  ctf_u64(s, 0);
  ctf_u64(s, s->packets++);
  ctf_u64(s, s->discarded += discarded);
  ctf_u32(s, cpu);
}

static void ctf_packet_end(struct ctf *c, uint32_t cpu, uint64_t end) {
  struct ctf_stream *s = &c->streams[cpu];
  uint64_t bits = 8 * (s->n - s->packet);
  memcpy(s->data + s->packet + 40, &end, 8);
  memcpy(s->data + s->packet + 48, &bits, 8);
  memcpy(s->data + s->packet + 56, &bits, 8);
}

/* An event; format: i int, l int64_t, c thread name (16 bytes), s string. With contexts the first
 * two arguments are the thread's id and name, not part of the format. */
static void ctf_put(struct ctf *c, uint32_t cpu, uint64_t ts, uint16_t id, const char *format,
                    ...) {
  struct ctf_stream *s = &c->streams[cpu];
  va_list args;
  va_start(args, format);
  ctf_append(s, &id, 2);
  ctf_u64(s, ts);
  char full[16];
  snprintf(full, sizeof full, "%s%s", c->kind == KIND_LTTNG_CONTEXTS ? "ic" : "", format);
  for (const char *p = full; *p; p++) {
    if (*p == 'i') {
      ctf_u32(s, (uint32_t)va_arg(args, int));
    } else if (*p == 'l') {
      ctf_u64(s, (uint64_t)va_arg(args, int64_t));
    } else {
      const char *text = va_arg(args, const char *);
      char name[16] = "";
      snprintf(name, sizeof name, "%s", text);
      ctf_append(s, *p == 'c' ? name : text, *p == 'c' ? sizeof name : strlen(text) + 1);
    }
  }
  va_end(args);
}

/* Without tt_write_file's care (fsync): tests write many. */
static void ctf_write(const char *file, const void *data, size_t n) {
  FILE *f = fopen(file, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static void ctf_end(struct ctf *c) {
  for (size_t i = 0; i < sizeof c->streams / sizeof *c->streams; i++) {
    struct ctf_stream *s = &c->streams[i];
    if (s->n > 0) {
      char *file = tt_format("%s/channel0_%zu", c->path, i);
      ctf_write(file, s->data, s->n);
      tt_free(file);
    }
    tt_free(s->data);
  }
}

#endif
