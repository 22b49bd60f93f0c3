/* The table of output formats, made from sink.def. */
#include "scan/sink.h"

#include <stddef.h>

#define SINK(name, help) extern const struct sink_class sink_##name;
#include "sink/sink.def"
#undef SINK

const struct sink_class *const sink_classes[] = {
#define SINK(name, help) &sink_##name,
#include "sink/sink.def"
#undef SINK
    NULL,
};
