/* server/measures.h - what the service counts (core/metrics.h keeps and adds it up). */
#pragma once

#include "core/metrics.h"

struct app;

extern struct metric *const all_metrics[];
extern const size_t all_metrics_n;

void measure_request(int status, uint64_t micros);
void measure_auth_refused(void);
void measure_auth_limited(void);
void measure_operation(bool passed);
/* Brings the gauges up to date; called before they are written. */
void measure_app(const struct app *app);
