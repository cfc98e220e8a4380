#include "generators/rules/distribution.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define MAX_FITTED 24 /* quantiles */
#define FIT 0.05      /* of the logarithm */
#define LONGEST 9e18  /* ns; below INT64_MAX */

static int64_t to_ns(double ns) {
  return ns > 0 ? (int64_t)llround(fmin(ns, LONGEST)) : 0;
}

/* Between two quantiles: geometric, of x + 1 so that 0 is no exception. */
static double between(double low, double high, double part) {
  return (low + 1) * pow((high + 1) / (low + 1), part) - 1;
}

static int64_t draw_quantile(const struct tt_quantile *quantiles, size_t n, double u) {
  size_t low = 0, high = n - 1;
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (u < quantiles[middle].at)
      high = middle;
    else
      low = middle;
  }
  const struct tt_quantile *a = &quantiles[low], *b = &quantiles[high];
  if (a->ns == b->ns || !(b->at > a->at))
    return a->ns;
  double part = (u - a->at) / (b->at - a->at);
  if (b->ns == TT_NEVER)
    return part < 0.5 ? a->ns : TT_NEVER;
  return to_ns(between((double)a->ns, (double)b->ns, part));
}

int64_t tt_distribution_draw(const struct tt_distribution *distribution,
                             const struct tt_quantile *quantiles, struct tt_rng *rng) {
  double a = distribution->a, b = distribution->b;
  switch (distribution->kind) {
  case TT_DISTRIBUTION_CONSTANT:
    return to_ns(a);
  case TT_DISTRIBUTION_EXPONENTIAL:
    return to_ns(-a * log1p(-tt_rng_uniform(rng)));
  case TT_DISTRIBUTION_UNIFORM:
    return to_ns(a + (b - a) * tt_rng_uniform(rng));
  case TT_DISTRIBUTION_NORMAL:
    return to_ns(a + b * tt_rng_normal(rng));
  case TT_DISTRIBUTION_LOGNORMAL:
    return to_ns(a * exp(b * tt_rng_normal(rng)));
  case TT_DISTRIBUTION_QUANTILES:
    break;
  }
  return draw_quantile(quantiles + distribution->first, distribution->n, tt_rng_uniform(rng));
}

/* ---- reading ---- */

static const struct {
  const char *name;
  enum tt_distribution_kind kind;
  size_t parameters;
} named[] = {{"exponential", TT_DISTRIBUTION_EXPONENTIAL, 1},
             {"uniform", TT_DISTRIBUTION_UNIFORM, 2},
             {"normal", TT_DISTRIBUTION_NORMAL, 2},
             {"lognormal", TT_DISTRIBUTION_LOGNORMAL, 2}};

static const char *read_quantiles(const json_t *json, struct tt_quantile **quantiles, size_t *n,
                                  size_t *capacity, struct tt_distribution *ret) {
  const json_t *at = json_object_get(json, "at"), *ns = json_object_get(json, "ns");
  size_t count = json_array_size(at);
  if (!json_is_array(at) || !json_is_array(ns) || count != json_array_size(ns) || count < 2)
    return "\"at\" and \"ns\" must be lists of the same length, 2 at least";
  if (tt_grow(quantiles, capacity, *n + count, sizeof **quantiles) != 0)
    return "";
  struct tt_quantile *added = *quantiles + *n;
  for (size_t i = 0; i < count; i++) {
    const json_t *share = json_array_get(at, i), *value = json_array_get(ns, i);
    if (!json_is_number(share) || json_number_value(share) < (i ? added[i - 1].at : 0) ||
        (i == 0 && json_number_value(share) > 0) || json_number_value(share) > 1 ||
        (i + 1 == count && json_number_value(share) < 1))
      return "\"at\" must ascend from 0 to 1";
    if (!json_is_null(value) && !(json_is_number(value) && json_number_value(value) >= 0 &&
                                  json_number_value(value) <= LONGEST))
      return "\"ns\" must hold numbers from 0 up to 9e18, or null";
    added[i].at = json_number_value(share);
    added[i].ns = json_is_null(value) ? TT_NEVER : to_ns(json_number_value(value));
    if (i > 0 && added[i].ns < added[i - 1].ns)
      return "\"ns\" must not descend (null, never, comes last)";
  }
  *ret = (struct tt_distribution){TT_DISTRIBUTION_QUANTILES, 0, 0, *n, count};
  *n += count;
  return NULL;
}

const char *tt_distribution_read(const json_t *json, struct tt_quantile **quantiles, size_t *n,
                                 size_t *capacity, struct tt_distribution *ret) {
  struct tt_distribution found = {.kind = TT_DISTRIBUTION_CONSTANT};
  if (json_is_number(json)) {
    found.a = json_number_value(json);
    if (!(found.a >= 0 && found.a <= LONGEST))
      return "a time must be a number from 0 up to 9e18";
    *ret = found;
    return NULL;
  }
  if (json_object_size(json) == 2 && json_object_get(json, "at"))
    return read_quantiles(json, quantiles, n, capacity, ret);
  const char *name = json_object_iter_key(json_object_iter((json_t *)json));
  size_t i = 0;
  while (name && i < sizeof named / sizeof *named && strcmp(named[i].name, name) != 0)
    i++;
  if (json_object_size(json) != 1 || i == sizeof named / sizeof *named)
    return "a time is a number, {\"exponential\": mean}, {\"uniform\": [from, to]}, {\"normal\": "
           "[mean, deviation]}, {\"lognormal\": [median, sigma]} or {\"at\": [...], \"ns\": [...]}";
  const json_t *values = json_object_get(json, name);
  const json_t *a = named[i].parameters == 1 ? values : json_array_get(values, 0);
  const json_t *b = json_array_get(values, 1);
  if (!json_is_number(a) || (named[i].parameters == 2 && !json_is_number(b)) ||
      json_array_size(values) != (named[i].parameters == 2 ? 2 : 0))
    return named[i].parameters == 1 ? "the mean must be a number" : "two numbers are wanted";
  found = (struct tt_distribution){
      .kind = named[i].kind, .a = json_number_value(a), .b = b ? json_number_value(b) : 0};
  if (!(found.a >= 0 && found.a <= LONGEST && found.b >= 0 && found.b <= LONGEST) ||
      (found.kind == TT_DISTRIBUTION_UNIFORM && found.b < found.a))
    return "its numbers must not be negative, nor descend, nor exceed 9e18";
  *ret = found;
  return NULL;
}

/* ---- fitting ---- */

static double level(double ns) {
  return log(ns + 1);
}

static double share_of(size_t i, size_t n) {
  return (double)i / (double)(n - 1);
}

/* The sample between the chosen places a and b that the line between them misses most. */
static double worst(const int64_t *samples, size_t n, size_t a, size_t b, size_t *ret) {
  double most = 0, low = level((double)samples[a]), high = level((double)samples[b]);
  for (size_t i = a + 1; i < b; i++) {
    double part = (share_of(i, n) - share_of(a, n)) / (share_of(b, n) - share_of(a, n));
    double miss = fabs(level((double)samples[i]) - low - part * (high - low));
    if (miss > most) {
      most = miss;
      *ret = i;
    }
  }
  return most;
}

json_t *tt_distribution_fit(const int64_t *samples, size_t n) {
  if (samples[0] == samples[n - 1])
    return json_integer(samples[0]);
  size_t chosen[MAX_FITTED] = {0, n - 1}, n_chosen = 2;
  while (n_chosen < MAX_FITTED) { /* where the piecewise line is worst, it gets another point */
    double most = FIT;
    size_t place = 0, behind = 0;
    for (size_t i = 0; i + 1 < n_chosen; i++) {
      size_t at = 0;
      double miss = worst(samples, n, chosen[i], chosen[i + 1], &at);
      if (miss > most) {
        most = miss;
        place = at;
        behind = i + 1;
      }
    }
    if (behind == 0)
      break;
    memmove(chosen + behind + 1, chosen + behind, (n_chosen - behind) * sizeof *chosen);
    chosen[behind] = place;
    n_chosen++;
  }
  json_t *at = json_array(), *ns = json_array();
  for (size_t i = 0; i < n_chosen; i++) {
    double share = i + 1 == n_chosen ? 1 : round(share_of(chosen[i], n) * 1e4) / 1e4;
    json_array_append_new(at, json_real(share));
    json_array_append_new(ns, json_integer(samples[chosen[i]]));
  }
  return json_pack("{s:o, s:o}", "at", at, "ns", ns);
}
