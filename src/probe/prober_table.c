/* The table of probers, made from probe.def. */
#include "scan/prober.h"

#include <stddef.h>

#define PROBE(name, options, summary) extern const struct prober_class prober_##name;
#include "probe/probe.def"
#undef PROBE

const struct prober_class *const prober_classes[] = {
#define PROBE(name, options, summary) &prober_##name,
#include "probe/probe.def"
#undef PROBE
    NULL,
};
