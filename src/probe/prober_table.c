/* The table of probers, made from probe.def. */
#include "scan/prober.h"

#include <stddef.h>
#include <string.h>

#define PROBE(name, options, summary) extern const struct prober_class prober_##name;
#include "probe/probe.def"
#undef PROBE

const struct prober_class *const prober_classes[] = {
#define PROBE(name, options, summary) &prober_##name,
#include "probe/probe.def"
#undef PROBE
    NULL,
};

const struct prober_class *prober_find(const char *name)
{
    for (size_t i = 0; prober_classes[i]; i++)
        if (strcmp(prober_classes[i]->name, name) == 0)
            return prober_classes[i];
    return NULL;
}
