/* What a port number or a service name means: IANA's registry (compiled in), overridden by
 * /etc/services. */
#pragma once

#include "net/port_set.h"

enum service_source {
    SERVICE_REGISTRY, /* IANA's Service Name and Transport Protocol Port Number Registry */
    SERVICE_SYSTEM,   /* /etc/services of this machine */
};

struct service {
    struct port port;
    const char *name;        /* "https"; this and the aliases are printable ASCII */
    const char *description; /* "http protocol over TLS/SSL", or ""; printed only escaped */
    const char *aliases;     /* other names in use, separated by blanks, or "" */
    enum service_source source;
};

/* The name of a port, or false when neither knows it. /etc/services counts as the source only where
 * its name differs from the registry's. The strings live as long as the process. The first call
 * reads /etc/services. */
bool service_find(struct port port, struct service *ret_service);

/* Called for each match, ordered by port and protocol. A non-zero return ends the walk. */
typedef int service_fn(void *user, const struct service *service);

/* Walks over every service whose name, or one of whose aliases in use (rdp, postgres, …), matches
 * `pattern` ("*" any run, "?" any one character; ASCII case does not matter). `protocol` is
 * PROTOCOL_COUNT for all. Returns what `each` returned last, 0 when nothing matched. */
int service_walk(const char *pattern, size_t length, enum protocol protocol, service_fn *each,
                 void *user);

/* The known name nearest to `word`, for "did you mean": copied into `name`, which is returned, or
 * NULL when none is near. */
#define SERVICE_NAME_SIZE 64
const char *service_nearest(const char *word, size_t length, char name[static SERVICE_NAME_SIZE]);
