/* What the JSON and the text both derive from a report. */
#ifndef REPORT_DERIVED_H
#define REPORT_DERIVED_H

#include "report/report.h"

/* NULL when there is no such arm. */
const struct tt_report_arm *tt_report_find_arm(const struct tt_report *report, const char *name,
                                               bool equal_steps);

struct tt_report_utility {
  double delta_f1;   /* macro-F1 of COMBINED - TRTR; NaN: an arm is missing */
  double tstr_share; /* macro-F1 of TSTR / TRTR */
};
struct tt_report_utility tt_report_utility(const struct tt_report *report, bool equal_steps);

/* The single figures of a tt_fidelity, in the order they are shown. */
struct tt_fidelity_row {
  const char *key, *label;
  size_t offset; /* of the double in struct tt_fidelity */
};
extern const struct tt_fidelity_row tt_fidelity_rows[];
extern const size_t tt_fidelity_rows_n;
double tt_fidelity_row(const struct tt_fidelity *fidelity, size_t row);

#endif
