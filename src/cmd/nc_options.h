/* The options of the classic name `nc`: OpenBSD's flags and ncat's long names. docs/nc.md has the
 * table for people. */
#pragma once

#include "base/arena.h"
#include "cmd/talk_options.h"

/* --allow and --allowfile, --deny and --denyfile */
struct nc_networks {
    struct option_list words, files;
};

struct nc_options {
    struct talk_options talk;
    bool listen, scan, random, unix_socket;
    bool tls, any_tls, verify_tls;  /* -c, --ssl, --ssl-verify */
    const char *certificate_name;   /* -e */
    const char *port;               /* -p */
    uint64_t wait;                  /* -w */
    bool shutdown, keep, quits;     /* -N, --no-shutdown, -q with a time */
    uint64_t quit_after;            /* of -q */
    const char *x_host, *x_version; /* -x, -X */
    const char *proxy_host, *proxy_type, *proxy_login, *proxy_names;
    struct nc_networks allow, deny;
    struct arena arena; /* what was made of values */
};

extern const struct option nc_options_table[];

/* What no table can check: options that exclude or need one another. Returns 0 or -EINVAL. */
int nc_options_check(const struct nc_options *options, struct error *error);
