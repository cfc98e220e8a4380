/* The one event record. Trace readers produce it, datasets store its fields as columns, generators
 * and exporters speak it. */
#ifndef TRACE_EVENT_H
#define TRACE_EVENT_H

#include <stdint.h>

#define TT_RET_NONE INT64_MIN /* the event has no return value (all but syscall exits) */
#define TT_TID_NONE INT32_MIN /* the thread could not be established */
#define TT_COMM_NONE UINT32_MAX

struct tt_event {
  int64_t ts;    /* ns since the trace's clock origin, never decreasing along a merged trace */
  int64_t ret;   /* return value of a syscall exit, else TT_RET_NONE */
  int32_t tid;   /* the thread running on `cpu` when the event happened (sched_switch: the one that
                    leaves, as LTTng's and perf's contexts have it); 0: idle; or TT_TID_NONE */
  uint32_t comm; /* id of that thread's name at that time in the comm dictionary, or TT_COMM_NONE */
  uint16_t event; /* id in the event-name dictionary */
  uint16_t cpu;
};

/* A place where the tracer lost events of one CPU: nothing may be learned across it. */
struct tt_gap {
  int64_t begin, end; /* ns; the lost events happened in [begin, end] */
  uint64_t lost;      /* how many; 0: unknown */
  uint16_t cpu;
};

#endif
