/* The table of links, made from link.def. */
#include "scan/link.h"

#include <stddef.h>

#define TEST_LINK(name)
#ifdef HAVE_XDP
#define XDP_LINK(name) LINK(name)
#else
#define XDP_LINK(name)
#endif
#define LINK(name) extern const struct link_class link_##name;
#include "link/link.def"
#undef LINK

const struct link_class *const link_classes[] = {
#define LINK(name) &link_##name,
#include "link/link.def"
#undef LINK
    NULL,
};
