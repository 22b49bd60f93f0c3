/* The table of links, made from link.def. */
#include "scan/link.h"

#include <stddef.h>

#define TEST_LINK(name)
#define LINK(name) extern const struct link_class link_##name;
#include "link/link.def"
#undef LINK

const struct link_class *const link_classes[] = {
#define LINK(name) &link_##name,
#include "link/link.def"
#undef LINK
    NULL,
};
