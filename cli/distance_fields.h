/* The fields of a tt_distance_summary that `check` and `repair` print. */
#ifndef CLI_DISTANCE_FIELDS_H
#define CLI_DISTANCE_FIELDS_H

#define DISTANCE_FIELDS(d)                                                                         \
  F_NUMBER("d_trans", (d).d_trans), F_NUMBER("d_time", (d).d_time), F_NUMBER("d_cpu", (d).d_cpu),  \
      F_NUMBER("d_attr", (d).d_attr), F_NUMBER("d_trans_cpu", (d).d_trans_cpu)

#endif
