/* Time that only runs forward, for durations and rates. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* Seconds since some moment before the process began. */
double tt_seconds(void);

#endif
